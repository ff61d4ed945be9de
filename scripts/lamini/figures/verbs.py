"""Most frequent verbs of the instructions and their objects, as in self-instruct's Figure 3."""

from collections import Counter
from typing import Any

from matplotlib.colors import to_rgb

from lamini.catalogue.params import VerbsParams
from lamini.figures.style import COLOURS, PAGE_WIDTH, Drawing, subplots
from lamini.tables.published import read_csv

VERBS, NOUNS = 20, 4
"""Number of verbs in the inner ring, and of nouns per verb in the outer ring."""
_LIGHTENING = 0.45
_MIN_LABEL_SHARE = 0.009
"""Minimum share of the circle for a label; smaller segments have no room for a word."""


def draw_verbs(inputs: dict[str, Any], params: VerbsParams) -> Drawing:
    """Draw both rings for all sources together.

    Args:
        inputs: `verbs` (CSV of `count_verbs`).
        params: the mixture.
    """
    rows = [r for r in read_csv(inputs["verbs"]) if r["instruction_source"] == params.mixture]
    pairs = {(r["verb"], r["noun"]): int(r["instructions"]) for r in rows if r["noun"]}
    verbs: Counter[str] = Counter()
    for (verb, _), count in pairs.items():
        verbs[verb] += count
    inner, outer = [], []
    for order, verb in enumerate(sorted(verbs, key=lambda v: (-verbs[v], v))[:VERBS]):
        nouns = sorted((n for v, n in pairs if v == verb), key=lambda n: (-pairs[verb, n], n))
        colour = to_rgb(COLOURS[order % len(COLOURS)])
        shown = [(verb, noun, pairs[verb, noun], colour) for noun in nouns[:NOUNS]]
        inner.append((verb, sum(count for *_, count, _ in shown), colour))
        outer += shown
    figure, axes = subplots(figsize=(PAGE_WIDTH, PAGE_WIDTH))
    edges = {"width": 0.34, "edgecolor": "white", "linewidth": 0.6}
    if inner:
        axes.pie(
            [count for _, count, _ in inner],
            radius=0.66,
            labels=[verb for verb, *_ in inner],
            labeldistance=0.55,
            colors=[colour for *_, colour in inner],
            wedgeprops=edges | {"width": 0.5},
            startangle=90,
            counterclock=False,
            rotatelabels=True,
            textprops={"fontsize": 6, "color": "white"},
        )
        axes.pie(
            [count for *_, count, _ in outer],
            radius=1.0,
            labels=_labels(outer),
            labeldistance=0.69,
            colors=[_lighter(colour) for *_, colour in outer],
            wedgeprops=edges,
            startangle=90,
            counterclock=False,
            rotatelabels=True,
            textprops={"fontsize": 6},
        )
    data = [[verb, noun, count] for verb, noun, count, _ in outer]
    return Drawing(figure, ["verb", "noun", "instructions"], data)


def _labels(shown: list[tuple[str, str, int, tuple[float, float, float]]]) -> list[str]:
    """Nouns of the segments with room for a label; an empty string for the others."""
    total = sum(count for *_, count, _ in shown)
    return [noun if count >= _MIN_LABEL_SHARE * total else "" for _, noun, count, _ in shown]


def _lighter(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (1 - _LIGHTENING * (1 - part) for part in colour)
    return red, green, blue
