"""Count requests, rejects, tokens and dollars of every source and stage."""

from pathlib import Path

from lamini.generation.summary import summarize_generation
from lamini.job import start_job

start_job(snakemake.log[0], "summarize_generation")
stages = ("prompts", "instructions", "queries", "pairs")
summarize_generation(
    **{stage: [Path(path) for path in snakemake.input[stage]] for stage in stages},
    summary=Path(snakemake.output[0]),
    prices=snakemake.params.prices,
)
