"""Embed a sample of each compared set's instructions."""

from lamini.analysis.embeddings import embed_instructions
from lamini.job import start_job

start_job(snakemake.log[0], f"embed_instructions {snakemake.wildcards.mixture}")
embed_instructions(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    embeddings=snakemake.output.embeddings,
    settings=snakemake.params.settings,
)
