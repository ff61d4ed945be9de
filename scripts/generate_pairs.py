"""Generate the teacher's responses to one shard of queries."""

from lamini.generation.pairs import generate_pairs
from lamini.jobs import run_job

run_job(snakemake, generate_pairs)
