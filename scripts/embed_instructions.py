"""Embed a sample of each compared set's instructions."""

from lamini.analysis.embeddings import embed_instructions
from lamini.jobs import run_job

run_job(snakemake, embed_instructions)
