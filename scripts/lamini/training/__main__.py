"""Train one student: `python -m lamini.training`, also under `accelerate launch`.

With `--nodes`, the command starts itself on every node of its SLURM job.

Exit codes: 0, the model is in OUTPUT/final; 85, stopped by a signal after saving a checkpoint (run
it again to resume); any other code, failed.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError, StopRequested
from lamini.files import read_json
from lamini.jobs.commits import HUB_COMMITS
from lamini.jobs.gpus import take_gpus
from lamini.jobs.planned import check_planned
from lamini.jobs.previous import take_previous
from lamini.jobs.provenance import file_digests, read_record, record_job
from lamini.jobs.run import job_name
from lamini.jobs.start import start_job
from lamini.training.export import take_finished
from lamini.training.interrupts import EXIT_STOPPED, stop_before_time_limit
from lamini.training.job import TrainingJob
from lamini.training.launch import launch, launched_already, run_on_nodes, visible_gpus


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    job = TrainingJob.from_json(parsed.settings, parsed.speed, parsed.name)
    logger = start_job(parsed.log, job_name(parsed.log))
    try:
        return _run(job, parsed, arguments)
    except StopRequested as stop:
        logger.warning("%s", stop)
        return EXIT_STOPPED
    except LaminiError as error:
        logger.error("%s", error)
        return 1


def _run(job: TrainingJob, parsed: argparse.Namespace, arguments: list[str]) -> int:
    """Train, or take the result of an earlier job; returns the exit code."""
    settings, written = job.as_params(), parsed.written
    if written:
        check_planned("train_model", written[0], settings, parsed.read)
    if launched_already():
        return _train(job, parsed)
    read = file_digests(parsed.read)
    if written and take_previous("train_model", settings, read, written, parsed.log):
        return 0
    finished = take_finished(parsed.output, job.fingerprint(parsed.tokenized))
    if finished and all(_is_recorded(path, job, read) for path in written):
        return 0  # the job that trained has already written the records
    if not finished and (code := _train_in_processes(job, parsed, arguments)) != 0:
        return code
    if written:
        record_job(
            rule="train_model",
            settings=settings,
            inputs=read,
            outputs=written,
            facts=_hub_commits(parsed.output),
        )
    return 0


def _train_in_processes(job: TrainingJob, parsed: argparse.Namespace, arguments: list[str]) -> int:
    """Train on several nodes, in several processes of this machine, or in this process."""
    if parsed.nodes > 1:
        return run_on_nodes(parsed.nodes, parsed.threads, parsed.gpus, arguments)
    take_gpus(parsed.gpus)
    processes = parsed.processes or _gpu_processes(parsed.gpus)
    if processes > 1:
        return launch(processes, arguments)
    return _train(job, parsed)


def _is_recorded(path: str, job: TrainingJob, read: dict[str, str]) -> bool:
    """Whether an output has the record of a training with these settings and inputs."""
    record = read_record(path)
    return record is not None and (record["settings"], record["inputs"]) == (job.as_params(), read)


def _hub_commits(output: Path) -> dict[str, Any]:
    """Commits that the training processes read from the hub, from the model's manifest."""
    manifest = read_json(output / "final/manifest.json")
    return {HUB_COMMITS: manifest[HUB_COMMITS]} if HUB_COMMITS in manifest else {}


def _train(job: TrainingJob, parsed: argparse.Namespace) -> int:
    from lamini.training.run import train_student

    stop_before_time_limit()
    train_student(job, parsed.tokenized, parsed.output, parsed.gpus, dataset=parsed.dataset)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m lamini.training", description=__doc__)
    parser.add_argument("--settings", required=True, help="settings of the result, as JSON")
    parser.add_argument("--speed", default="{}", help="settings of the speed, as JSON")
    parser.add_argument("--name", default="", help="title of the model card (default: the model)")
    parser.add_argument("--tokenized", required=True, type=Path, help="folder of the token cache")
    parser.add_argument(
        "--dataset", nargs="?", type=Path, help="the dataset, to train on a share of its pairs"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for final/ and work/")
    parser.add_argument("--read", nargs="*", default=[], help="inputs, for provenance")
    parser.add_argument("--written", nargs="*", default=[], help="outputs, for provenance")
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--gpus", type=int, default=1, help="GPUs to use on each machine")
    parser.add_argument("--nodes", type=int, default=1, help="number of nodes of the SLURM job")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores on each node")
    parser.add_argument(
        "--processes", type=int, help="processes on this machine (default: one per GPU)"
    )
    return parser


def _gpu_processes(gpus: int) -> int:
    """Number of processes: one per requested GPU; `ranks` reports a missing GPU."""
    return gpus if gpus > 1 and visible_gpus() else 1


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.exit(code)
