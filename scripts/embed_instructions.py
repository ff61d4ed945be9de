"""Embed a sample of each compared set's instructions."""

from lamini.analysis.embeddings import embed_instructions
from lamini.job import start_job
from lamini.settings.dataset import Embeddings

start_job(snakemake.log[0], f"embed_instructions {snakemake.wildcards.mixture}")
settings = snakemake.params.settings
embed_instructions(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    embeddings=snakemake.output.embeddings,
    settings=Embeddings.model_validate(settings["embeddings"]),
    seed=settings["seed"],
)
