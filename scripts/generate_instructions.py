"""Have the teacher write one shard of instructions."""

from pathlib import Path

from lamini.generation.instructions import generate_instructions
from lamini.job import start_job
from lamini.settings.teacher import Teacher

source, shard = snakemake.wildcards.source, snakemake.wildcards.shard
start_job(snakemake.log[0], f"generate_instructions {source}/{shard}")
output = Path(snakemake.output.instructions)
generate_instructions(
    prompts=Path(snakemake.input.prompts),
    topics=next(map(Path, snakemake.input.topics), None),  # a list of one file or none
    instructions=output,
    rejects=Path(snakemake.output.rejects),
    report=Path(snakemake.output.report),
    ledger=output.with_suffix(".ledger.jsonl"),
    shard=shard,
    settings=snakemake.params.settings,
    teacher=Teacher.model_validate(snakemake.config["teacher"]),
)
