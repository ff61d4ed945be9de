"""Have the teacher rate a study's items by the protocol that people follow."""

from lamini.human_evaluation.judge import judge_items
from lamini.jobs import run_job

run_job(snakemake, judge_items)
