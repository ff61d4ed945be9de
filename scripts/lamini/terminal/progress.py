"""Progress of a run: finished jobs, the stage of the pipeline, and the time left."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from lamini.log import duration


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a run, without jobs that have no outputs (such as `all`)."""

    stages: Mapping[str, str]
    """Stage of each rule, in pipeline order."""
    jobs: Mapping[str, int]
    """Number of jobs of each rule."""
    seconds: Mapping[str, float]
    """Mean wall time of each rule's jobs in earlier runs."""


@dataclass(frozen=True, slots=True)
class StartedJob:
    """A job that runs, or waits in a cluster's queue."""

    name: str
    """Rule and wildcards, such as `train_model lamini-t5-61m`."""
    rule: str
    log: str
    """Path of its log; empty if the rule has none."""
    started: float
    """Time of the start, in seconds since the epoch."""


@dataclass
class RunProgress:
    """Counts of a run.

    Args:
        plan: the jobs of the run.
        started: time of the start, in seconds since the epoch.
    """

    plan: Plan
    started: float
    running: dict[int, StartedJob] = field(default_factory=dict)
    """Running jobs by Snakemake's job id."""
    _done: Counter[str] = field(default_factory=Counter)
    _seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of planned jobs."""
        return sum(self.plan.jobs.values())

    @property
    def done(self) -> int:
        """Number of finished jobs."""
        return self._done.total()

    def finish(self, job_id: int, now: float) -> StartedJob | None:
        """Count a job as finished; returns it, or None if it was not started here."""
        job = self.running.pop(job_id, None)
        if job is not None:
            self._done[job.rule] += 1
            self._seconds[job.rule] = self._seconds.get(job.rule, 0) + now - job.started
        return job

    def stage(self) -> str:
        """First stage with unfinished jobs, such as `stage 3 of 9, pairs`; empty at the end."""
        stages = list(dict.fromkeys(self.plan.stages[rule] for rule in self.plan.jobs))
        stages.sort(key=list(dict.fromkeys(self.plan.stages.values())).index)
        for number, stage in enumerate(stages, 1):
            rules = [rule for rule in self.plan.jobs if self.plan.stages[rule] == stage]
            if any(self._done[rule] < self.plan.jobs[rule] for rule in rules):
                return f"stage {number} of {len(stages)}, {stage}"
        return ""

    def time_left(self, now: float) -> str:
        """Estimated time left, such as `about 14 min left`; empty if nothing is known yet.

        Each unfinished job counts with the mean of its rule in this run or, before its rule's first
        job has finished, in an earlier run. If some rules have neither, the text says `at least`.
        """
        work, complete = 0.0, True
        for rule, jobs in self.plan.jobs.items():
            mean = self._mean_seconds(rule)
            left = jobs - self._done[rule]
            if mean is None:
                complete = complete and not left
                continue
            ages = [now - job.started for job in self.running.values() if job.rule == rule]
            work += left * mean - sum(min(age, mean) for age in ages)
        spent = sum(self._seconds.values()) + sum(now - j.started for j in self.running.values())
        if not self.done or not work:
            return ""
        at_once = max(1.0, spent / max(now - self.started, 1e-9))
        return f"{'about' if complete else 'at least'} {duration(work / at_once)} left"

    def _mean_seconds(self, rule: str) -> float | None:
        if self._done[rule]:
            return self._seconds[rule] / self._done[rule]
        return self.plan.seconds.get(rule)

    def text(self, now: float) -> str:
        """The run in one line."""
        parts = [
            f"{self.done:,} of {self.total:,} jobs",
            self.stage(),
            f"{duration(now - self.started)} so far",
            self.time_left(now),
        ]
        return "; ".join(part for part in parts if part)
