"""Check of the teacher when a run starts: before its first job, if it has jobs of the teacher."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher

_REMEDY = (
    "\nconfig/overlays/ has other teachers. If ledgers have all answers, no teacher is needed:"
    " --config 'teacher={mode: replay}'"
)


def check_teacher(workflow: Any, teacher: Teacher) -> None:
    """Check the teacher's endpoints, and print the result.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
        teacher: the teacher's settings.

    Raises:
        WorkflowError: an endpoint cannot answer, and a planned job has no ledger with answers yet.
    """
    from snakemake.exceptions import WorkflowError
    from snakemake.logging import logger

    planned = [
        [str(path) for path in job.output]
        for job in workflow.dag.needrun_jobs()
        if "teacher" in job.rule.resources
    ]
    if not planned:
        return
    try:
        for line in teacher_lines(teacher, must_succeed=not all(map(_has_ledger, planned))):
            logger.warning(line)
    except LaminiError as error:
        raise WorkflowError(f"{error}{_REMEDY}") from None


def teacher_lines(teacher: Teacher, must_succeed: bool) -> list[str]:
    """One line per endpoint.

    Args:
        teacher: the teacher's settings.
        must_succeed: whether an endpoint that cannot answer is an error.

    Raises:
        LaminiError: with `must_succeed`, names each endpoint that cannot answer, and the remedy.
    """
    from lamini.teacher.check import check_endpoints  # loads ssl and http, which jobs do not need

    verdicts = check_endpoints(teacher, with_request=must_succeed)
    wrong = [f"  {verdict}" for verdict in verdicts if verdict.state == "wrong"]
    if wrong and must_succeed:
        raise LaminiError("\n".join(["The teacher cannot answer; no job was started:", *wrong]))
    return [f"Teacher: {verdict}" for verdict in verdicts]


def _has_ledger(outputs: Iterable[str]) -> bool:
    """Whether the ledger beside a job's output exists, plain or packed."""
    stems = [Path(path).with_suffix("") for path in outputs if path.endswith(".jsonl")]
    return any(
        Path(f"{stem}.ledger.jsonl{packed}").exists() for stem in stems for packed in ("", ".zst")
    )
