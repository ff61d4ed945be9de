"""Read the seed prompts of one source."""

from lamini.generation.prompts import prepare_prompts
from lamini.jobs import run_job

run_job(snakemake, prepare_prompts)
