"""Count what is left of each source as doubtful pairs are taken out."""

from lamini.analysis.funnel import count_funnel
from lamini.job import start_job

start_job(snakemake.log[0], f"count_funnel {snakemake.wildcards.mixture}")
count_funnel(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    near_duplicates=snakemake.input.near_duplicates,
    hits=snakemake.input.hits,
    funnel=snakemake.output.funnel,
    settings=snakemake.params.settings,
)
