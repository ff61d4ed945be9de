"""Count the verbs of a sample of instructions and their objects."""

from lamini.analysis.verbs import count_verbs
from lamini.job import start_job

start_job(snakemake.log[0], f"count_verbs {snakemake.wildcards.mixture}")
count_verbs(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    verbs=snakemake.output.verbs,
    settings=snakemake.params.settings,
)
