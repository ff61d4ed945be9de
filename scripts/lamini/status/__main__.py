"""`make status` and `make cost`: progress and costs of a run.

`python -m lamini.status` shows the progress. It changes no files, so it can be called at any
time, during a run and after it. `python -m lamini.status cost` sums time, cores, GPUs and
dollars by rule.
"""

import argparse
import sys
from pathlib import Path

from lamini.command import (
    add_config_arguments,
    read_assignments,
    read_config,
    read_yaml,
    run_command,
)
from lamini.paths import JOBS_FILE, RESULTS, RUN_CONFIG
from lamini.settings import load_settings
from lamini.status.graph import ask_snakemake, read_jobs
from lamini.status.show import cost_text, status_text
from lamini.status.states import job_states


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.status", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("status", "cost"), default="status")
    add_config_arguments(parser)
    parser.add_argument("--gpu-dollars", type=float, help="US$ per GPU-hour, for `cost`")
    parser.add_argument("--cpu-dollars", type=float, help="US$ per core-hour, for `cost`")
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _show(parsed))


def _show(parsed: argparse.Namespace) -> None:
    overlays = [*parsed.configfile, *parsed.config]
    if JOBS_FILE.exists() and not overlays:
        print(f"Jobs: {JOBS_FILE} (last run)\n")
        jobs = read_jobs()
        # A run of some targets does not make the file of its configuration.
        config = read_yaml(Path(RUN_CONFIG)) if Path(RUN_CONFIG).exists() else read_config([], [])
    else:
        print(f"Configuration: {' '.join(['config/*.yaml', *map(str, overlays)])}\n")
        config = read_config(parsed.configfile, parsed.config)
        jobs = ask_snakemake(parsed.configfile, read_assignments(parsed.config))
    teacher = load_settings(config).teacher
    if parsed.what == "cost":
        print(cost_text(jobs, RESULTS, teacher, parsed.gpu_dollars, parsed.cpu_dollars))
    else:
        print(status_text(job_states(jobs, Path()), RESULTS, teacher))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
