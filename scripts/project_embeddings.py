"""Lay the embeddings out in the plane by t-SNE, and measure semantic diversity."""

from lamini.analysis.projection import project_embeddings
from lamini.job import start_job
from lamini.settings.dataset import Embeddings

start_job(snakemake.log[0], f"project_embeddings {snakemake.wildcards.mixture}")
settings = snakemake.params.settings
project_embeddings(
    embeddings=snakemake.input.embeddings,
    projection=snakemake.output.projection,
    diversity=snakemake.output.diversity,
    settings=Embeddings.model_validate(settings["embeddings"]),
    seed=settings["seed"],
)
