"""From a figure's name to its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamini.figures.learning_curves import draw_learning_curves
from lamini.figures.lengths import draw_lengths
from lamini.figures.projection import draw_projection
from lamini.figures.ratings import draw_dataset_ratings, draw_model_ratings
from lamini.figures.scores import draw_scores
from lamini.figures.verbs import draw_verbs

Drawer = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], None]

DRAWERS: dict[str, Drawer] = {
    "projection": draw_projection,
    "scores": draw_scores,
    "dataset_ratings": draw_dataset_ratings,
    "model_ratings": draw_model_ratings,
    "learning_curves": draw_learning_curves,
    "lengths": draw_lengths,
    "verbs": draw_verbs,
}


def draw_figure(
    inputs: dict[str, Any], settings: dict[str, Any], outputs: dict[str, str | Path]
) -> None:
    """Draw one figure.

    Args:
        inputs: named input files of the rule.
        settings: `kind` (a key of `DRAWERS`) and what that drawer takes.
        outputs: paths by form: "pdf", "png", "csv".
    """
    DRAWERS[settings["kind"]](inputs, settings, outputs)
