"""Learning curves: training loss per step, and held-out loss at the steps that measured it."""

import math
from pathlib import Path

from lamini.catalogue.params.models import TrainingParams
from lamini.figures.style import COLOURS, PAGE_WIDTH, Drawing, subplots
from lamini.training.metrics import StepMetrics


def draw_learning_curves(metrics: list[Path], params: TrainingParams) -> Drawing:
    """One panel per student.

    Args:
        metrics: JSONL files, in the order of the students.
        params: the students.
    """
    columns = min(3, len(metrics))
    lines = math.ceil(len(metrics) / columns)
    figure, axes = subplots(lines, columns, figsize=(PAGE_WIDTH, 0.4 + 1.9 * lines), squeeze=False)
    data = []
    for axis, path, student in zip(axes.flat, metrics, params.students, strict=False):
        rows = StepMetrics.read_rows(path)
        trained = [(row.step, row.loss) for row in rows if row.loss is not None]
        held_out = [(row.step, row.held_out_loss) for row in rows if row.held_out_loss is not None]
        axis.plot(*zip(*trained, strict=True), color=COLOURS[0], linewidth=0.8, label="training")
        if held_out:
            axis.plot(
                *zip(*held_out, strict=True),
                color=COLOURS[5],
                marker="o",
                markersize=3,
                linestyle="--",
                linewidth=0.8,
                label="held out",
            )
        axis.set(title=student.name, xlabel="step", ylabel="loss, nats per token")
        axis.legend()
        data += [[student.key, row.step, row.loss, row.held_out_loss] for row in rows]
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    return Drawing(figure, ["model", "step", "loss", "held_out_loss"], data)
