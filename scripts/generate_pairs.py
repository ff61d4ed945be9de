"""Have the teacher answer one shard of queries."""

from pathlib import Path

from lamini.generation.pairs import generate_pairs
from lamini.job import start_job
from lamini.settings.teacher import Teacher

source, shard = snakemake.wildcards.source, snakemake.wildcards.shard
start_job(snakemake.log[0], f"generate_pairs {source}/{shard}")
output = Path(snakemake.output.pairs)
generate_pairs(
    queries=Path(snakemake.input.queries),
    pairs=output,
    report=Path(snakemake.output.report),
    ledger=output.with_suffix(".ledger.jsonl"),
    shard=shard,
    settings=snakemake.params.settings,
    teacher=Teacher.model_validate(snakemake.config["teacher"]),
)
