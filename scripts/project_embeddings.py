"""Lay the embeddings out in the plane by t-SNE, and measure semantic diversity."""

from lamini.analysis.projection import project_embeddings
from lamini.job import start_job

start_job(snakemake.log[0], f"project_embeddings {snakemake.wildcards.mixture}")
project_embeddings(
    embeddings=snakemake.input.embeddings,
    projection=snakemake.output.projection,
    diversity=snakemake.output.diversity,
    settings=snakemake.params.settings,
)
