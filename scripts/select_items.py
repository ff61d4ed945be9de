"""Choose what a study rates, hide where it comes from, and assign it to annotators."""

from lamini.human_evaluation.selection import select_items
from lamini.job import start_job

start_job(snakemake.log[0], f"select_items {snakemake.wildcards.study}")
select_items(
    inputs=dict(snakemake.input.items()),
    items=snakemake.output.rated,
    key=snakemake.output.key,
    funnel=snakemake.output.funnel,
    settings=snakemake.params.settings,
)
