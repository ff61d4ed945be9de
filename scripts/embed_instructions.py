"""Compute sentence embeddings of a sample of instructions per set."""

from lamini.analysis.embeddings import embed_instructions
from lamini.jobs import run_job

run_job(snakemake, embed_instructions)
