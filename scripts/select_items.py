"""Choose what a study rates, hide where it comes from, and assign it to annotators."""

from lamini.human_evaluation.selection import select_items
from lamini.jobs import run_job

run_job(snakemake, select_items)
