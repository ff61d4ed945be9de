"""GPU-hours of each sweep by size and seed, and its cheapest part that is precise enough."""

from pathlib import Path
from statistics import fmean

from lamini.paths import SWEEP, within
from lamini.plan.show import hours_text
from lamini.plan.students import GPU_MODELS, StudentPlan, student_plan
from lamini.settings.sweeps import Sweep
from lamini.sweeps.design import EXPONENT, PARAMETERS, parts
from lamini.sweeps.results import SweepResult
from lamini.text_table import text_table
from lamini.workflow import Workflow


def sweep_text(flow: Workflow, name: str, results: Path) -> str:
    """Trainings and GPU-hours of a sweep by size, and its cheapest part that is precise enough.

    Args:
        flow: the configuration.
        name: name of the sweep.
        results: folder of results; its token caches and measured steps replace estimates.
    """
    sweep = flow.config.sweeps[name]
    points = flow.config.points(name)
    counted = [point for point in points if point.key not in flow.config.students]
    plans = {point.key: student_plan(flow, point.key, results) for point in points}
    seeds = len(sweep.seeds)
    rows: list[list[object]] = []
    for size in sorted(sweep.samples):
        here = [plans[point.key] for point in counted if point.samples == size]
        pairs = max(plans[point.key].work.pairs for point in points if point.samples == size)
        one = [hours_text(hours / seeds) for hours in _hours(here)]
        rows.append([f"{size:g}", pairs, len(here), *one])
    every = _hours([plans[point.key] for point in counted])
    prices = [f"${n * gpu.dollars:,.0f}" for n, gpu in zip(every, GPU_MODELS, strict=True)]
    rows.append(["one seed", None, None, *(hours_text(hours / seeds) for hours in every)])
    rows.append(["all seeds", None, len(counted), *map(hours_text, every)])
    rows.append(["rental", None, None, *prices])
    header = ("size", "pairs", "trainings", *(f"{gpu.name}-h" for gpu in GPU_MODELS))
    own = [point.key for point in points if point.key in flow.config.students]
    return "\n".join(
        [
            f"Sweep {name}, {len(points)} trainings (students: {len(sweep.students)}, mixtures:"
            f" {max(len(sweep.mixtures), 1)}, sizes: {len(sweep.samples)}, seeds: {seeds});"
            " GPU-hours of one seed by size:",
            text_table(header, rows),
            *([f"Not counted, as `students` has them too: {', '.join(own)}."] if own else []),
            _cheapest(flow, name, sweep, plans, results),
        ]
    )


def _hours(plans: list[StudentPlan]) -> list[float]:
    """GPU-hours of some trainings on each GPU model."""
    return [sum(plan.hours(gpu) for plan in plans) for gpu in GPU_MODELS]


def _cheapest(
    flow: Workflow, name: str, sweep: Sweep, plans: dict[str, StudentPlan], results: Path
) -> str:
    """The cheapest part that estimates the score at the largest size precisely enough."""
    if len(sweep.samples) < PARAMETERS:
        return f"A law of size needs {PARAMETERS} sizes or more."
    gpu = next(gpu for gpu in GPU_MODELS if gpu.name == flow.config.site.gpu_model)
    points = flow.config.points(name)
    hours = {
        size: sum(plans[p.key].hours(gpu) for p in points if p.samples == size) / len(sweep.seeds)
        for size in sweep.samples
    }
    deviation, exponent, basis = _chance(name, sweep, results)
    candidates = list(parts(hours, len(sweep.seeds), deviation, exponent))
    if not candidates:
        return "A law of size needs one more seed or size."
    whole = max(candidates, key=lambda part: (len(part.sizes), part.seeds))
    enough = [part for part in candidates if part.error <= sweep.error]
    wanted = f"±{sweep.error:g} points"
    if not enough:
        return (
            f"No part of the sweep tells the score at the largest size within {wanted} (95 %); all"
            f" of it: ±{whole.error:.2g} points; {basis}."
        )
    best = min(enough, key=lambda part: (part.hours, part.error))
    sizes = ", ".join(f"{size:g}" for size in best.sizes)
    return (
        f"Cheapest part that tells the score at the largest size within {wanted} (95 %): sizes"
        f" {sizes} with {best.seeds} {'seed' if best.seeds == 1 else 'seeds'},"
        f" {hours_text(best.hours)} of {hours_text(whole.hours)} {gpu.name}-hours,"
        f" ±{best.error:.2g} points; {basis}."
    )


def _chance(name: str, sweep: Sweep, results: Path) -> tuple[float, float, str]:
    """Deviation between seeds, exponent of the law, and where both are from.

    Those of the fitted sweep, means over its students; before it is fitted, assumptions.
    """
    fitted = within(results, SWEEP, sweep=name)
    laws = SweepResult.read(fitted).laws if fitted.is_file() else []
    scores = [law for law in laws if law.measure == "score"]
    if scores:
        deviation, exponent = fmean(x.deviation for x in scores), fmean(x.c for x in scores)
        return (
            deviation,
            exponent,
            (
                f"measured: seeds differ by {deviation:.2g} points (standard deviation), the score"
                f" follows a + b n^-{exponent:.2g}"
            ),
        )
    return (
        sweep.seed_deviation,
        EXPONENT,
        (
            f"assumed: seeds differ by {sweep.seed_deviation:g} points (standard deviation;"
            f" sweeps.{name}.seed_deviation), the score follows a + b n^-{EXPONENT:g}"
        ),
    )
