"""Read the seed prompts of one source into a common format."""

from lamini.generation.prompts import prepare_prompts
from lamini.jobs import run_job

run_job(snakemake, prepare_prompts)
