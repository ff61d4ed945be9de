"""Generate one shard of new instructions with the teacher."""

from lamini.generation.instructions import generate_instructions
from lamini.jobs import run_job

run_job(snakemake, generate_instructions)
