"""Count the verbs of a sample of instructions and their objects."""

from lamini.analysis.verbs import count_verbs
from lamini.jobs import run_job

run_job(snakemake, count_verbs)
