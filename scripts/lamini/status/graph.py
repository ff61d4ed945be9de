"""The jobs of a run, from Snakemake's own graph.

The Snakefile writes them when a run starts (`write_jobs`); before the first run, and for another
configuration, Snakemake is asked (`ask_snakemake`), which takes seconds.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json, write_json
from lamini.jobs.run import LOGS

JOBS_FILE = Path("results/jobs.json")


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a rule."""

    rule: str
    """The rules of one family, such as `select_queries_alpaca`, count as one: `select_queries`."""
    key: str
    """Its wildcards as in the path of its log, such as `alpaca/0003`; empty for a lone job."""
    outputs: tuple[str, ...]
    """Files that are there when it is done."""
    log: str
    benchmark: str
    """Where Snakemake writes its time and memory."""

    @property
    def name(self) -> str:
        """Rule and key."""
        return f"{self.rule} {self.key}".strip()


def write_jobs(workflow: Any) -> None:
    """Write the jobs of a run that starts to `JOBS_FILE`.

    Args:
        workflow: Snakemake's, its graph complete.
    """
    write_json(JOBS_FILE, [asdict(job) for job in _jobs(workflow)])


def read_jobs() -> list[Job]:
    """The jobs of the last run, in the pipeline's order."""
    jobs = [job | {"outputs": tuple(job["outputs"])} for job in read_json(JOBS_FILE)]
    return [Job(**job) for job in jobs]


def ask_snakemake(configfiles: Sequence[Path], config: dict[str, Any]) -> list[Job]:
    """The jobs that a configuration asks for, in the pipeline's order.

    Args:
        configfiles: overlays of the configuration.
        config: single keys that overlay those.

    Raises:
        LaminiError: when Snakemake cannot make its graph.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError, print_exception
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    with (
        SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api,
        contextlib.redirect_stdout(io.StringIO()),  # the graph in Graphviz's form
    ):
        asked = api.workflow(
            resource_settings=ResourceSettings(),
            config_settings=ConfigSettings(config=config, configfiles=list(configfiles)),
            snakefile=Path("Snakefile"),
        )
        try:
            asked.dag(DAGSettings()).printrulegraph()
        except WorkflowError as error:
            print_exception(error)
            raise LaminiError("Snakemake cannot plan the jobs; see above") from error
        return _jobs(asked._workflow)


def _jobs(workflow: Any) -> list[Job]:
    """All jobs that write something, by the order of their rules in the rule files."""
    order = {rule.name: number for number, rule in enumerate(workflow.rules)}
    jobs = [job for job in workflow.dag.jobs if job.output]
    return [_job(job) for job in sorted(jobs, key=lambda job: (order[job.rule.name], str(job.log)))]


def _job(job: Any) -> Job:
    (log,) = map(str, job.log)
    rule, _, key = str(Path(log).relative_to(LOGS).with_suffix("")).partition("/")
    return Job(rule, key, tuple(map(str, job.output)), log, str(job.benchmark))
