"""Evaluate one model on a batch of tasks."""

from lamini.evaluation.evaluate import evaluate_model
from lamini.job import start_job

start_job(snakemake.log[0], f"{snakemake.rule} {snakemake.wildcards.model}")
evaluate_model(
    evals=snakemake.output.evals,
    settings=snakemake.params.settings,
    tokens_per_batch=snakemake.config["evaluation"].get("tokens_per_batch"),
    inputs=[*snakemake.input],
)
