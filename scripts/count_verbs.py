"""Count verbs and their objects in a sample of instructions."""

from lamini.analysis.verbs import count_verbs
from lamini.jobs import run_job

run_job(snakemake, count_verbs)
