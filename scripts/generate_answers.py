"""Have one model answer the user-oriented instructions."""

from lamini.evaluation.answers import generate_answers
from lamini.job import start_job

start_job(snakemake.log[0], f"generate_answers {snakemake.wildcards.model}")
generate_answers(
    instructions=snakemake.input.instructions,
    answers=snakemake.output.answers,
    settings=snakemake.params.settings,
    tokens_per_batch=snakemake.config["answers"].get("tokens_per_batch"),
    inputs=[*snakemake.input],
)
