"""Find the instructions that nearly repeat an earlier one."""

from lamini.analysis.near_duplicates import find_near_duplicates
from lamini.job import start_job

start_job(snakemake.log[0], f"find_near_duplicates {snakemake.wildcards.mixture}")
find_near_duplicates(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    near_duplicates=snakemake.output.near_duplicates,
    counts=snakemake.output.counts,
    settings=snakemake.params.settings,
)
