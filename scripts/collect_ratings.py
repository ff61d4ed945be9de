"""Validate human rating files, join the judge's verdicts, and measure agreement."""

from lamini.human_evaluation.collection import collect_ratings
from lamini.jobs import run_job

run_job(snakemake, collect_ratings)
