"""Find the words that pairs share with the evaluated examples of the downstream tasks."""

from lamini.analysis.contamination import find_contamination
from lamini.job import start_job

start_job(snakemake.log[0], f"find_contamination {snakemake.wildcards.mixture}")
find_contamination(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    data=snakemake.input.data,
    contamination=snakemake.output.contamination,
    hits=snakemake.output.hits,
    examples=snakemake.output.examples,
    settings=snakemake.params.settings,
)
