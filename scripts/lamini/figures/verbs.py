"""Most frequent verbs of the instructions and their objects, as in self-instruct's Figure 3."""

from collections import Counter
from pathlib import Path

from matplotlib.colors import to_rgb

from lamini.catalogue.params.dataset import VerbsParams
from lamini.figures.style import COLOURS, PAGE_WIDTH, SMALL_TYPE, Drawing, subplots, text_colour
from lamini.tables.published import read_csv

VERBS, NOUNS = 20, 4
"""Number of verbs in the inner ring, and of nouns per verb in the outer ring."""
_LIGHTENING = 0.45
_MIN_LABEL_SHARE, _MIN_INNER_SHARE = 0.0095, 0.018
"""Minimum share of the circle for a label of the outer and inner ring: the height of a word."""


def draw_verbs(verbs: Path, params: VerbsParams) -> Drawing:
    """Draw both rings for all sources together.

    Args:
        verbs: CSV of `count_verbs`.
        params: the mixture.
    """
    rows = [r for r in read_csv(verbs) if r["instruction_source"] == params.mixture]
    pairs = {(r["verb"], r["noun"]): int(r["instructions"]) for r in rows if r["noun"]}
    totals: Counter[str] = Counter()
    for (verb, _), count in pairs.items():
        totals[verb] += count
    inner, outer = [], []
    for order, verb in enumerate(sorted(totals, key=lambda v: (-totals[v], v))[:VERBS]):
        nouns = sorted((n for v, n in pairs if v == verb), key=lambda n: (-pairs[verb, n], n))
        colour = to_rgb(COLOURS[order % len(COLOURS)])
        shown = [(verb, noun, pairs[verb, noun], colour) for noun in nouns[:NOUNS]]
        inner.append((verb, sum(count for *_, count, _ in shown), colour))
        outer += shown
    figure, axes = subplots(figsize=(PAGE_WIDTH, PAGE_WIDTH))
    edges = {"width": 0.34, "edgecolor": "white", "linewidth": 0.6}
    if inner:
        _, texts = axes.pie(
            [count for _, count, _ in inner],
            radius=0.66,
            labels=_labels([(verb, count) for verb, count, _ in inner], _MIN_INNER_SHARE),
            labeldistance=0.55,
            colors=[colour for *_, colour in inner],
            wedgeprops=edges | {"width": 0.5},
            startangle=90,
            counterclock=False,
            rotatelabels=True,
            textprops={"fontsize": SMALL_TYPE},
        )
        for text, (_, _, colour) in zip(texts, inner, strict=True):
            text.set_color(text_colour(colour))
        axes.pie(
            [count for *_, count, _ in outer],
            radius=1.0,
            labels=_labels([(noun, count) for _, noun, count, _ in outer], _MIN_LABEL_SHARE),
            labeldistance=0.69,
            colors=[_lighter(colour) for *_, colour in outer],
            wedgeprops=edges,
            startangle=90,
            counterclock=False,
            rotatelabels=True,
            textprops={"fontsize": SMALL_TYPE},
        )
    data = [[verb, noun, count] for verb, noun, count, _ in outer]
    return Drawing(figure, ["verb", "noun", "instructions"], data)


def _labels(segments: list[tuple[str, int]], share: float) -> list[str]:
    """Words of the segments with at least a share of the circle; "" for the others."""
    total = sum(count for _, count in segments)
    return [word if count >= share * total else "" for word, count in segments]


def _lighter(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (1 - _LIGHTENING * (1 - part) for part in colour)
    return red, green, blue
