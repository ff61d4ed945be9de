"""Evaluate one model on a batch of tasks."""

from lamini.evaluation.evaluate import evaluate_model
from lamini.jobs import run_job

run_job(snakemake, evaluate_model)
