"""Sample the items of a study, blind their origin, and assign them to annotators."""

from lamini.human_evaluation.selection import select_items
from lamini.jobs import run_job

run_job(snakemake, select_items)
