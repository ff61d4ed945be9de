"""What takes part in a run: other sections follow `students`, `references` and `mixtures`.

Leaving out a student or a source is one edit. Studies, Table 4, Figures 3 and 5 and decontaminated
mixtures then leave it out as well; a note for the terminal and the report says so.
"""

from collections.abc import Sequence
from typing import Any

from lamini.settings.dataset import Mixture
from lamini.settings.human_evaluation import Study
from lamini.settings.root import Config

_NO_MODEL = "neither in `students` nor in `references`"


def only_taking_part(config: Config) -> tuple[Config, list[str]]:
    """The configuration without models and sources that take no part in the run.

    Args:
        config: a valid configuration.

    Returns:
        The configuration, and one note per setting that lost entries.
    """
    notes: list[str] = []
    mixtures = {name: _mixture(config, name, notes) for name in config.mixtures}
    studies = {
        name: study
        for name in config.human_evaluation.studies
        if (study := _study(config, name, notes)) is not None
    }
    report = config.report
    changes: dict[str, Any] = {
        "mixtures": mixtures,
        "human_evaluation": config.human_evaluation.model_copy(update={"studies": studies}),
        "report": report.model_copy(
            update={
                key: _evaluated(config, f"report.{key}", getattr(report, key), notes)
                for key in ("selected", "reference_lines", "acceptance")
            }
        ),
    }
    exports = config.exports
    students = [name for name in exports.models if name in config.students]
    if left_out := [name for name in exports.models if name not in students]:
        notes.append(f"exports.models: without {', '.join(left_out)} (not in `students`)")
    changes["exports"] = exports.model_copy(update={"models": students})
    panels = _panels(config, notes)
    embeddings = config.analysis.embeddings.model_copy(update={"panels": panels})
    changes["analysis"] = config.analysis.model_copy(update={"embeddings": embeddings})
    return config.model_copy(update=changes), notes


def _evaluated(config: Config, key: str, models: Sequence[str], notes: list[str]) -> list[str]:
    """Those of the models that are evaluated; a note names the others."""
    evaluated = {*config.students, *config.references}
    left_out = [model for model in models if model not in evaluated]
    if left_out:
        notes.append(f"{key}: without {', '.join(left_out)} ({_NO_MODEL})")
    return [model for model in models if model in evaluated]


def _study(config: Config, name: str, notes: list[str]) -> Study | None:
    """A study with the models that are evaluated; None, with a note, if there are none."""
    study, key = config.human_evaluation.studies[name], f"human_evaluation.studies.{name}"
    if study.kind == "dataset":
        return study
    own_notes: list[str] = []
    models = _evaluated(config, f"{key}.models", study.models, own_notes)
    notes += own_notes if models else [f"{key}: left out, as all of its models are {_NO_MODEL}"]
    return study.model_copy(update={"models": models}) if models else None


def _mixture(config: Config, name: str, notes: list[str]) -> Mixture:
    """A mixture; a decontaminated one has no source that its base mixture lacks.

    One that shares no source with its base is not used (`Config` checks that), and stays.
    """
    mixture = config.mixtures[name]
    if mixture.decontamination is None:
        return mixture
    base = config.mixtures[mixture.decontamination.mixture].sources
    left_out = [source for source in mixture.sources if source not in base]
    trained = [*config.students, *config.sweep_students]
    used = any(config.models[student].mixture == name for student in trained)
    if left_out and used:
        notes.append(
            f"mixtures.{name}.sources: without {', '.join(left_out)}"
            f" (not in {mixture.decontamination.mixture})"
        )
    kept = [source for source in mixture.sources if source in base]
    return mixture.model_copy(update={"sources": kept}) if kept else mixture


def _panels(config: Config, notes: list[str]) -> list[tuple[str, str]]:
    """Panels of Figure 3 whose sources are both in the analysed mixture."""
    panels, key = config.analysis.embeddings.panels, "analysis.embeddings.panels"
    present = config.mixtures[config.analysed_mixture].sources
    kept = [panel for panel in panels if set(panel) <= set(present)]
    if len(kept) < len(panels):
        left_out = "; ".join(", ".join(panel) for panel in panels if panel not in kept)
        figure = "" if kept else "; no Figure 3 and no semantic diversity"
        notes.append(
            f"{key}: without {left_out} (not all in the mixture {config.analysed_mixture}){figure}"
        )
    return kept
