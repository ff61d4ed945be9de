"""Runs the jobs that Snakemake plans in a checkout, one after another in one process.

    python tests/rehearsal/one_process.py OVERLAY... [-- TARGET...]

The plan, inputs and params are Snakemake's, and the scripts are the rules' own. A short rehearsal
would otherwise spend nearly all of its time on the start of processes. It prints one line per job,
and ends with the error of the first job that fails.
"""

import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lamini.status.graph import with_plan


def run_all(workflow: Any) -> None:
    """Run every job that is needed, in an order in which inputs are made first.

    Raises:
        FileNotFoundError: a job did not write an output that its rule declares.
    """
    for job in _needed(workflow.dag):
        began = time.monotonic()
        for path in (*job.output, *job.log):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        if job.is_script:
            _run_script(job)
        else:
            subprocess.run(["bash", "-c", job.shellcmd], stdout=sys.stderr, check=True)
        for path in map(Path, job.output):
            if not path.exists():
                raise FileNotFoundError(f"{job.rule.name}: {path} is missing")
        name = " ".join([job.rule.name, *map(str, job.wildcards)])
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _needed(dag: Any) -> Iterator[Any]:
    for level in dag.toposorted():
        yield from (job for job in level if dag.needrun(job) and (job.is_script or job.is_shell))


def _run_script(job: Any) -> None:
    parts = ("input", "output", "params", "wildcards", "resources", "threads")
    given = {name: getattr(job, name) for name in parts}
    snakemake = SimpleNamespace(rule=job.rule.name, log=list(map(str, job.log)), **given)
    script = Path("scripts") / Path(str(job.rule.script)).name
    runpy.run_path(str(script), init_globals={"snakemake": snakemake})


if __name__ == "__main__":
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    with_plan([Path(overlay) for overlay in given[:end]], {}, run_all, targets=given[end + 1 :])
