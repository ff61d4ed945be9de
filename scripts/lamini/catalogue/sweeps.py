"""Report section: sweeps, with tables and figures of each sweep of the configuration.

Other sections are the same in every run; the tables here are named after the sweeps, and their
entries are made from the names.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from lamini import paths
from lamini.catalogue.entries import FigureEntry, Section, TableEntry
from lamini.catalogue.params.sweeps import SweepFigureParams, SweepTableParams
from lamini.catalogue.run import RuleFiles, Run

SWEEP, LAW, COMPARED, LOSS = "sweep_", "law_", "compared_", "loss_"
"""Start of the names of a sweep's tables and figures."""


def sweep_section(names: Iterable[str]) -> Section:
    """The section with the tables and figures of some sweeps."""
    names = list(names)
    return Section(
        "sweeps",
        "Sweeps",
        "How much data is enough, and how large the chance is: students on parts of the training"
        " pairs, with several seeds.",
        tables=tuple(entry for name in names for entry in _tables(name)),
        figures=tuple(entry for name in names for entry in _figures(name)),
    )


def swept(names: Iterable[str]) -> list[str]:
    """Names of the sweeps whose tables are among some tables."""
    return [name.removeprefix(LAW) for name in names if name.startswith(LAW)]


def sweep_entry(kind: Literal["table", "figure"], item: str) -> TableEntry | FigureEntry | None:
    """The entry of a table or figure with the name of a sweep; None for other names."""
    for start in (SWEEP, LAW, COMPARED, LOSS):
        if item.startswith(start):
            section = sweep_section([item.removeprefix(start)])
            entries = section.tables if kind == "table" else section.figures
            found = next((entry for entry in entries if entry.name == item), None)
            if found:
                return found
    return None


def _inputs(name: str) -> Callable[[Run], RuleFiles]:
    return lambda run: {"fitted": paths.SWEEP.format(sweep=name)}


def _names(run: Run, name: str) -> dict[str, Any]:
    """Names of a sweep's students, and whether they are trained on several mixtures."""
    sweep = run.config.sweeps[name]
    return {
        "students": {student: run.config.models[student].name for student in sweep.students},
        "several_mixtures": len({point.mixture for point in run.config.points(name)}) > 1,
    }


def _table(
    name: str, start: str, title: str, builder: str, when: Callable[[Run], Any] = lambda run: True
) -> TableEntry:
    return TableEntry(
        f"{start}{name}",
        title=f"Sweep {name}: {title}",
        builder=f"lamini.tables.sweep_tables:{builder}_table",
        inputs=_inputs(name),
        params=lambda run: SweepTableParams(**_names(run, name)),
        when=when,
    )


def _tables(name: str) -> tuple[TableEntry, ...]:
    return (
        _table(name, SWEEP, "scores by size of the data, with both kinds of chance.", "sweep"),
        _table(name, LAW, "the law of size, and the largest size as the law predicts it.", "law"),
        _table(
            name,
            COMPARED,
            "which student beats which at the largest size.",
            "compared",
            when=lambda run: run.flow.sweep_tasks(name) and _groups(run, name) > 1,
        ),
    )


def _groups(run: Run, name: str) -> int:
    """Number of students, each counted once per mixture."""
    return len({(point.student, point.mixture) for point in run.config.points(name)})


def _figures(name: str) -> tuple[FigureEntry, ...]:
    def figure(
        start: str,
        what: str,
        measure: Literal["score", "held_out_loss"],
        when: Callable[[Run], Any],
    ) -> FigureEntry:
        return FigureEntry(
            f"{start}{name}",
            title=f"Sweep {name}: {what} against the size of the data, with the fitted law.",
            builder="lamini.figures.sweeps:draw_sweep",
            inputs=_inputs(name),
            params=lambda run: SweepFigureParams(**_names(run, name), measure=measure),
            when=when,
        )

    return (
        figure(SWEEP, "score", "score", lambda run: run.flow.sweep_tasks(name)),
        figure(LOSS, "held-out loss", "held_out_loss", lambda run: _holds_out(run, name)),
    )


def _holds_out(run: Run, name: str) -> bool:
    """Whether all students of a sweep have held-out pairs."""
    students = run.config.sweeps[name].students
    return all(run.config.recipe(student).held_out_pairs for student in students)
