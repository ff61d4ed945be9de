"""Params of the tables and figures of sweeps."""

from typing import Literal

from lamini.catalogue.params.common import BuilderParams


class SweepTableParams(BuilderParams):
    """Params of `sweep_table`, `law_table` and `compared_table`."""

    students: dict[str, str]
    """Display name of each student."""
    several_mixtures: bool
    """Whether the sweep has several mixtures, so that their names are shown."""

    def label(self, group: tuple[str, str]) -> str:
        """Display name of a student, with its mixture if there are several."""
        student, mixture = group
        name = self.students[student]
        return f"{name}, {mixture}" if self.several_mixtures else name


class SweepFigureParams(SweepTableParams):
    """Params of `draw_sweep`."""

    measure: Literal["score", "held_out_loss"]
