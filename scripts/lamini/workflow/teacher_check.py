"""Check of the teacher when a run starts: before its first job, if it has jobs of the teacher."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.settings.teacher import Sampling, Teacher
from lamini.workflow.names import Names

_REMEDY = (
    "\nconfig/overlays/ has other teachers. If ledgers have all answers, no teacher is needed:"
    " --config 'teacher={mode: replay}'"
)


def check_teacher(workflow: Any, flow: Names) -> None:
    """Check the endpoints of each model that the planned jobs ask, and print the results.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
        flow: the configuration.

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
    wanted: dict[tuple[str, str], bool] = {}
    for outputs in planned:
        folder, name = Path(outputs[0]).parts[-3:-1]
        wanted[folder, name] = wanted.get((folder, name), False) or not _has_ledger(outputs)
    try:
        for line in teacher_lines(flow, wanted):
            logger.warning(line)
    except LaminiError as error:
        raise WorkflowError(f"{error}{_REMEDY}") from None


def teacher_lines(flow: Names, wanted: Mapping[tuple[str, str], bool]) -> list[str]:
    """One line per model and endpoint; all models are checked at the same time.

    Args:
        flow: the configuration.
        wanted: folder of results and source (or study) of the jobs, as in `flow.teacher_of`; and
            whether an endpoint that cannot answer is an error.

    Raises:
        LaminiError: names each endpoint that cannot answer although it must, and the remedy.
    """
    from lamini.teacher.check import check_endpoints  # loads ssl and http, which jobs do not need

    checks: list[tuple[Teacher, Sampling | None, bool]] = []
    for (folder, name), must_succeed in wanted.items():
        teacher, sampling = flow.teacher_of(folder, name), flow.sampling_of(folder, name)
        same = [number for number, check in enumerate(checks) if check[0] == teacher]
        if not same:
            checks.append((teacher, sampling, must_succeed))
        elif must_succeed and not checks[same[0]][2]:
            checks[same[0]] = teacher, sampling, True
    with ThreadPoolExecutor(max(1, len(checks))) as pool:
        by_check = list(pool.map(lambda each: check_endpoints(each[0], each[2], each[1]), checks))
    verdicts = [
        (verdict, must_succeed)
        for (_, _, must_succeed), verdicts in zip(checks, by_check, strict=True)
        for verdict in verdicts
    ]
    wrong = [f"  {verdict}" for verdict, must in verdicts if must and verdict.state == "wrong"]
    if wrong:
        raise LaminiError("\n".join(["The teacher cannot answer; no job was started:", *wrong]))
    return [f"Teacher: {verdict}" for verdict, _ in verdicts]


def _has_ledger(outputs: Iterable[str]) -> bool:
    """Whether the ledger beside a job's output exists, plain or packed."""
    stems = [Path(path).with_suffix("") for path in outputs if path.endswith(".jsonl")]
    return any(
        Path(f"{stem}.ledger.jsonl{packed}").exists() for stem in stems for packed in ("", ".zst")
    )
