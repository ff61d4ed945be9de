"""Params of the rule that fits a sweep."""

from dataclasses import asdict

from lamini.settings.params.students import FitSweep, SweepPoint
from lamini.workflow.exports import ExportParams


class SweepParams(ExportParams):
    """Params of rule `fit_sweep`."""

    def sweep_params(self, sweep: str) -> FitSweep:
        """Params of rule `fit_sweep`."""
        points = [asdict(point) for point in self.config.points(sweep)]
        return FitSweep(
            points=[SweepPoint(**{"model": p.pop("key"), **p}) for p in points],
            tasks=self.sweep_tasks(sweep),
            version=self.config.sweeps[sweep].version,
        )
