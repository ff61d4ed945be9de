"""Project the embeddings to two dimensions with t-SNE, and measure semantic diversity."""

from lamini.analysis.projection import project_embeddings
from lamini.jobs import run_job

run_job(snakemake, project_embeddings)
