"""Jobs of a run, from Snakemake's job graph.

The Snakefile writes them when a run starts (`write_jobs`). Before the first run, and for another
configuration, Snakemake builds the graph (`ask_snakemake`), which takes seconds.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lamini.errors import LaminiError
from lamini.files import read_json, write_json
from lamini.jobs.run import job_name
from lamini.paths import JOBS_FILE, LOGS, of_project

if TYPE_CHECKING:
    from snakemake.settings.types import ResourceSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One Snakemake job."""

    rule: str
    """Name of the rule; a family such as `select_queries_alpaca` counts as `select_queries`."""
    key: str
    """Wildcards as in the log's path, such as `alpaca/0003`; empty for a rule without wildcards."""
    outputs: tuple[str, ...]
    """Output files; all exist when the job is done."""
    log: str
    benchmark: str
    """File to which Snakemake writes the job's time and memory."""

    @property
    def name(self) -> str:
        """Rule and key."""
        return f"{self.rule} {self.key}".strip()


def write_jobs(workflow: Any) -> None:
    """Write the jobs of a starting run to `JOBS_FILE`.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
    """
    write_json(JOBS_FILE, [asdict(job) for job in _jobs(workflow)])


def read_jobs() -> list[Job]:
    """Jobs of the last run, in pipeline order."""
    jobs = [job | {"outputs": tuple(job["outputs"])} for job in read_json(JOBS_FILE)]
    return [Job(**job) for job in jobs]


def ask_snakemake(configfiles: Sequence[Path], config: dict[str, object]) -> list[Job]:
    """Jobs of a configuration in pipeline order, from Snakemake.

    Args:
        configfiles: files that overlay the configuration.
        config: single keys that overlay these files.

    Raises:
        LaminiError: when Snakemake cannot build the job graph.
    """
    return with_plan(configfiles, config, _jobs)


def with_plan(
    configfiles: Sequence[Path],
    config: dict[str, object],
    read: Callable[[Any], T],
    resources: "ResourceSettings | None" = None,
    targets: Sequence[str] = (),
) -> T:
    """Let Snakemake plan all jobs of a configuration, and read the plan.

    Args:
        configfiles, config: as in `ask_snakemake`.
        read: called with Snakemake's workflow, which has its complete job graph.
        resources: resources of jobs; None: those of the rules.
        targets: files or rules to make; empty: all.

    Raises:
        LaminiError: when Snakemake cannot build the job graph.
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
        contextlib.redirect_stdout(io.StringIO()),  # discards the printed graph
    ):
        asked = api.workflow(
            resource_settings=resources or ResourceSettings(),
            config_settings=ConfigSettings(config=config, configfiles=list(configfiles)),
            snakefile=Path(of_project("Snakefile")),
        )
        try:
            asked.dag(DAGSettings(targets=set(targets))).printrulegraph()
        except WorkflowError as error:
            print_exception(error)
            raise LaminiError("Snakemake cannot plan the jobs; see above") from error
        return read(asked._workflow)


def _jobs(workflow: Any) -> list[Job]:
    """All jobs with outputs, in the order of their rules in the rule files."""
    order = {rule.name: number for number, rule in enumerate(workflow.rules)}
    jobs = [job for job in workflow.dag.jobs if job.output]
    return [_job(job) for job in sorted(jobs, key=lambda job: (order[job.rule.name], str(job.log)))]


def _job(job: Any) -> Job:
    logs, name = list(map(str, job.log)), "/".join([job.rule.name, *map(str, job.wildcards)])
    # The pipeline's rules have one log each, named after rule and wildcards; user rules may not.
    log = next((log for log in logs if Path(log).is_relative_to(LOGS)), f"{LOGS}/{name}.log")
    rule, _, key = job_name(log).partition(" ")
    return Job(rule, key, tuple(map(str, job.output)), log, str(job.benchmark or ""))
