"""Have the teacher rate a study's items by the protocol that people follow."""

from pathlib import Path

from lamini.human_evaluation.judge import judge_items
from lamini.job import start_job
from lamini.settings.teacher import Teacher

start_job(snakemake.log[0], f"judge_items {snakemake.wildcards.study}")
output = Path(snakemake.output.verdicts)
judge_items(
    items=Path(snakemake.input.rated),
    verdicts=output,
    ledger=output.with_suffix(".ledger.jsonl"),
    settings=snakemake.params.settings,
    teacher=Teacher.model_validate(snakemake.config["teacher"]),
)
