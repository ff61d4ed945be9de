"""Reuse of a job's previous outputs, if the job would compute the same again.

Snakemake plans all jobs downstream of a file that is made again, also if its content will be the
same: a lost dataset would train every student again. It deletes the outputs of a job before the job
starts. So the run first keeps links to them (`keep_previous`), and a job whose settings, inputs and
code are those of its provenance record takes its outputs from there (`take_previous`).
"""

import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lamini.files import FileEntry, copy_file, damage_of, read_json, sha256_file, stable_hash
from lamini.jobs.code import code_digest
from lamini.jobs.provenance import provenance_path, read_record
from lamini.jobs.settings import comparable_settings
from lamini.paths import BENCHMARKS, CODE_FILE, LOGS, PREVIOUS, RESULTS

NEVER_REUSED = {
    "collect_lineage",  # reads the provenance records
    "make_table",  # the costs are in benchmark files
    "write_crate",
    "write_report",
    "write_run_config",
}
"""Rules that read more than their inputs; all of them take seconds."""
MEASURED = ".measured"
"""Suffix of the benchmark file of the job that computed a reused result."""
logger = logging.getLogger("lamini")


def keep_previous(workflow: Any, families: Mapping[str, str]) -> None:
    """Keep links to the outputs of all planned jobs in `PREVIOUS`, except of forced jobs.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
        families: family of each rule of the pipeline, by the rule's name.
    """
    for job in workflow.dag.needrun_jobs():
        outputs = [Path(path) for path in job.output]
        if families.get(job.rule.name, "write_report") in NEVER_REUSED:
            continue
        if workflow.dag.reason(job).forced:
            for path in outputs:
                _previous(path).unlink(missing_ok=True)
        elif all(path.is_file() for path in outputs):
            benchmark = [Path(job.benchmark)] if job.benchmark else []
            for path in [*outputs, *(path for path in benchmark if path.is_file())]:
                _link(path, _previous(path))


def forget_previous() -> None:
    """Delete all links, after a successful run."""
    shutil.rmtree(PREVIOUS, ignore_errors=True)


def take_previous(
    rule: str,
    settings: Mapping[str, object],
    inputs: Mapping[str, str],
    outputs: Iterable[str | Path],
    log: str | Path,
) -> bool:
    """Take the job's previous outputs if it would compute the same; returns whether it did.

    The outputs are checked against their records, and the files of a folder against its manifest.

    Args:
        rule: name of the rule's family.
        settings: settings of the result.
        inputs: SHA-256 of each input file, by path.
        outputs: the files that the rule declares.
        log: the rule's log, which names the benchmark file.
    """
    files = [Path(path) for path in outputs]
    benchmark = _benchmark(log)
    if _is_same(rule, settings, inputs, files) and all(map(_is_whole, files)):
        for path in files:
            _link(_previous(path), path)
            os.utime(path)
        if not benchmark.with_suffix(MEASURED).exists() and _previous(benchmark).is_file():
            copy_file(_previous(benchmark), benchmark.with_suffix(MEASURED))
        logger.info("settings, inputs and code are as before: the previous result is reused")
        return True
    benchmark.with_suffix(MEASURED).unlink(missing_ok=True)
    return False


def previous_output(rule: str, output: str | Path) -> Path | None:
    """Previous file of an output, for a job that computes only the changed parts of it again.

    Returns:
        Its path; None if there is none, if it is damaged, or if other code made it.
    """
    output = Path(output)
    if not output.is_relative_to(RESULTS) or not _previous(output).is_file():
        return None
    record = read_record(output)
    if record is None or not _counts_as_same(rule, record.get("code_digest")):
        return None
    return _previous(output) if _is_whole(output) else None


def _is_same(
    rule: str, settings: Mapping[str, object], inputs: Mapping[str, str], outputs: Sequence[Path]
) -> bool:
    """Whether the record of the previous outputs has these settings and inputs, and this code."""
    inside = all(path.is_relative_to(RESULTS) for path in outputs)
    if rule in NEVER_REUSED or not inside or not all(_previous(path).is_file() for path in outputs):
        return False
    record = read_record(outputs[0])
    return (
        record is not None
        and record["rule"] == rule
        and stable_hash(comparable_settings(rule, record["settings"])) == stable_hash(settings)
        and record["inputs"] == dict(inputs)
        and record.get("outputs") == [str(path) for path in outputs]
        and _counts_as_same(rule, record.get("code_digest"))
    )


def _counts_as_same(rule: str, recorded: str | None) -> bool:
    """Whether recorded code is the current code, or the user accepted that both do the same."""
    now = code_digest(rule)
    if recorded is None or now is None:
        return False
    known = read_json(CODE_FILE).get(rule, {}) if CODE_FILE.is_file() else {}
    return recorded == now or {recorded, now} <= {known.get("code"), *known.get("accepted", [])}


def _is_whole(output: Path) -> bool:
    """Whether the previous file is as recorded, with the other files of its folder if it is a
    manifest."""
    previous = _previous(output)
    if sha256_file(previous) != read_json(provenance_path(output))["sha256"]:
        return False
    if output.name != "manifest.json":
        return True
    files = read_json(previous).get("files", {})
    try:
        # Other declared outputs of the folder have been deleted, too.
        return damage_of(output.parent, _undeclared(output.parent, files)) is None
    except OSError:
        return False


def _undeclared(folder: Path, files: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
    return {name: file for name, file in files.items() if not _previous(folder / name).is_file()}


def _link(source: Path, target: Path) -> None:
    """Make a hard link, which takes no space; a copy where the file system has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target)


def _previous(path: Path) -> Path:
    return PREVIOUS / path.relative_to(RESULTS)


def _benchmark(log: str | Path) -> Path:
    """Benchmark file of a job of the pipeline; it is named as its log."""
    path = Path(log).with_suffix(".jsonl")
    return BENCHMARKS / (path.relative_to(LOGS) if path.is_relative_to(LOGS) else path.name)
