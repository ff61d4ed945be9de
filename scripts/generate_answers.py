"""Generate one model's answers to the user-oriented instructions."""

from lamini.evaluation.answers import generate_answers
from lamini.jobs import run_job

run_job(snakemake, generate_answers)
