"""Train one student: `python -m lamini.training`, or the same under `accelerate launch`.

With `--nodes` it starts itself on the nodes of its SLURM job.

Exit codes: 0, the model is in OUTPUT/final; 85, stopped by a signal after saving, to be run again;
any other, failed.
"""

import argparse
import logging
import sys
from pathlib import Path

from lamini.errors import LaminiError, StopRequested
from lamini.job import start_job
from lamini.training.finished import take_finished
from lamini.training.interrupts import EXIT_STOPPED
from lamini.training.job import TrainingJob
from lamini.training.launch import launch, launched_already, visible_gpus
from lamini.training.nodes import run_on_nodes
from lamini.training.time_limit import stop_before_time_limit


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    job = TrainingJob.from_json(parsed.settings, parsed.speed)
    logger = start_job(parsed.log, f"train_model {job.model}")
    try:
        if not launched_already():
            if take_finished(parsed.output, job.fingerprint(parsed.tokenized)):
                return 0
            if parsed.nodes > 1:
                return run_on_nodes(parsed.nodes, parsed.threads, parsed.gpus, arguments)
            processes = parsed.processes or _gpu_processes(parsed.gpus)
            if processes > 1:
                return launch(processes, arguments)
        from lamini.training.run import train_student

        stop_before_time_limit()
        train_student(job, parsed.tokenized, parsed.output, parsed.gpus)
    except StopRequested as stop:
        logger.warning("%s", stop)
        return EXIT_STOPPED
    except LaminiError as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m lamini.training", description=__doc__)
    parser.add_argument("--settings", required=True, help="what the result depends on, as JSON")
    parser.add_argument("--speed", default="{}", help="how fast and safely to go, as JSON")
    parser.add_argument("--tokenized", required=True, type=Path, help="folder of the token cache")
    parser.add_argument("--output", required=True, type=Path, help="gets final/ and work/")
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of each machine to use")
    parser.add_argument("--nodes", type=int, default=1, help="nodes of the SLURM job to use")
    parser.add_argument("--threads", type=int, default=1, help="processor cores of each node")
    parser.add_argument(
        "--processes", type=int, help="processes on this machine; default: one for each GPU"
    )
    return parser


def _gpu_processes(gpus: int) -> int:
    """One process for each GPU that is there; a missing one is reported by `ranks`."""
    return gpus if gpus > 1 and visible_gpus() else 1


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.exit(code)
