"""Rate a study's items with the teacher, by the protocol of the human annotators."""

from lamini.human_evaluation.judge import judge_items
from lamini.jobs import run_job

run_job(snakemake, judge_items)
