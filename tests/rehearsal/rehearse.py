"""Rehearsal of the paper's run: its configuration, with sizes reduced by `config/rehearsal.yaml`.

    python tests/rehearsal/rehearse.py [--cluster] [--configfile MORE] FOLDER [-- OPTIONS]

The hub, the web server of the dumps, vLLM and the annotators are stand-ins on this machine; all
else is the product. It copies the checkout to FOLDER/project, runs Snakemake to the end, lets the
annotators rate, runs Snakemake again, and prints a table of the jobs. With `--cluster` it is
`snakemake --profile slurm` on a SLURM that is started for it (needs root); else it runs here.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / name) for name in ("rehearsal", "unit", "slurm", "")]

import yaml  # noqa: E402
from annotators import rate_all  # noqa: E402
from cluster import Cluster  # noqa: E402
from configuration import PAPER  # noqa: E402
from job_table import job_table  # noqa: E402
from packages import install_packages  # noqa: E402
from paper_hub import paper_hub  # noqa: E402
from web import Web, files  # noqa: E402

from checkouts import ENVIRONMENT, Checkout, check_out  # noqa: E402
from lamini.command import read_config  # noqa: E402
from lamini.settings.root import Config  # noqa: E402
from lamini.workflow import Workflow  # noqa: E402

OVERLAY = "config/rehearsal.yaml"
ADDRESSES = "addresses.yaml"


@dataclass
class Rehearsal:
    """One rehearsal in a checkout.

    Args:
        project: the checkout.
        environment: of Snakemake, with the stand-ins' addresses.
        overlays: configuration files over the paper's.
        options: of Snakemake: profile or cores.
    """

    project: Checkout
    environment: dict[str, str]
    overlays: Sequence[str]
    options: Sequence[str]
    config: Config
    seconds: list[float] = field(default_factory=list)

    def run(self, *targets: str) -> int:
        """Run Snakemake; its output goes to this terminal. Returns its exit code."""
        began = time.monotonic()
        done = subprocess.run(
            ["snakemake", *self.options, *targets, "--configfile", *self.overlays],
            cwd=self.project.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.seconds.append(time.monotonic() - began)
        return done.returncode

    def run_in_one_process(self) -> subprocess.CompletedProcess[str]:
        """Run all jobs without Snakemake's executor, which starts a process for each."""
        return subprocess.run(
            [sys.executable, str(HERE / "one_process.py"), *self.overlays],
            cwd=self.project.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def rate(self) -> int:
        """Let the annotators rate all studies; returns the number of ratings."""
        root = self.project.folder
        studies = self.config.human_evaluation.studies
        return sum(rate_all(root, study, root / "config/ratings" / study) for study in studies)


@contextlib.contextmanager
def rehearsal(
    folder: Path, options: Sequence[str], more: Sequence[str] = ()
) -> Iterator[Rehearsal]:
    """A checkout in `folder` with all stand-ins, which run until the block ends.

    Raises:
        AssertionError: at the end, if something was asked of a stand-in that it does not have.
    """
    project = Checkout(folder / "project")
    if not project.folder.exists():  # else an interrupted rehearsal goes on
        check_out(project.folder)
    vllm = project.folder / ".venv-teacher/bin/vllm"
    vllm.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "stand_in_vllm.py", vllm)
    overlays = [OVERLAY, *more, ADDRESSES]
    with Web(files(), _earlier_port(project.folder / ADDRESSES)) as web:
        (project.folder / ADDRESSES).write_text(yaml.safe_dump(web.overlay()))
        with contextlib.chdir(project.folder):
            config = Workflow(read_config([Path(file) for file in overlays], [])).config
        with paper_hub(config) as hub:
            offline = {"HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_HOME"}
            own = {k: v for k, v in (os.environ | ENVIRONMENT).items() if k not in offline}
            own |= {
                "HF_ENDPOINT": hub.address,
                "HF_HOME": str(folder / "huggingface"),
                "PYTHONPATH": str(project.folder / "scripts"),
            }
            yield Rehearsal(project, own, overlays, options, config)
            assert (hub.public.refused, web.refused) == ([], [])


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    """A SLURM on this machine, whose nodes are as large as the paper's jobs need.

    Raises:
        SystemExit: it cannot be started here; the message says why.
    """
    if reason := install_packages():
        sys.exit(reason)
    cluster = Cluster(folder, PAPER)
    try:
        cluster.start()
        yield
    finally:
        cluster.stop()


def _earlier_port(addresses: Path) -> int:
    """Port of the web server in an earlier run of a folder; 0: there was none."""
    if not addresses.exists():
        return 0
    first = next(iter(yaml.safe_load(addresses.read_text())["downloads"].values()))
    return int(first["url"].split(":")[2].partition("/")[0])


def main() -> int:
    """Run a rehearsal; returns Snakemake's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cluster", action="store_true", help="on a SLURM of its own")
    parser.add_argument("--cores", default="2", help="without --cluster")
    parser.add_argument("--configfile", action="append", default=[])
    parser.add_argument("--once", action="store_true", help="without the annotators' part")
    parser.add_argument("options", nargs="*", help="more of Snakemake's, after --")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    how = ["--profile", "slurm"] if asked.cluster else ["--cores", asked.cores]
    place = _cluster(folder / "slurm") if asked.cluster else contextlib.nullcontext()
    with place, rehearsal(folder, [*how, *asked.options], asked.configfile) as made:
        code = made.run()
        if code == 0 and not asked.once:
            print(f"{made.rate()} ratings", flush=True)
            code = made.run()
        print(job_table(made.project.folder))
        print("minutes of the runs:", ", ".join(f"{s / 60:.1f}" for s in made.seconds))
    return code


if __name__ == "__main__":
    sys.exit(main())
