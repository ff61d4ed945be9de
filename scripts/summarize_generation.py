"""Count requests, rejected instructions, tokens and dollars of every source and stage."""

from lamini.generation.summary import summarize_generation
from lamini.jobs import run_job

run_job(snakemake, summarize_generation)
