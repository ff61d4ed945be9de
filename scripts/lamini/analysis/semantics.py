"""Semantic diversity of a set of embeddings as numbers with intervals.

Two measures: the mean cosine distance between two texts, and the Vendi score (Friedman and Dieng
2023): the exponential of the entropy of the similarity matrix's eigenvalues, which reads as the
number of unlike texts. Both are taken from the vectors without a matrix of all pairs.

The intervals come from random halves drawn without replacement. Drawing with replacement repeats
texts, which makes any set look less diverse than it is; and the spread of halves about their own
mean is that of whole samples about theirs, as half of the sample is left out each time.
"""

from typing import Any

import numpy as np

from lamini.analysis.embeddings import Vectors

MEASURES = ("mean_cosine_distance", "vendi_score")
COLUMNS = (
    "instruction_source",
    "samples",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
)
_INTERVAL = (2.5, 97.5)

Matrix = np.ndarray[Any, np.dtype[np.floating[Any]]]


def mean_cosine_distance(units: Matrix) -> float:
    """Mean of 1 - cosine over all pairs of different rows.

    Args:
        units: rows of unit length, shape (texts, dimensions); two rows at least.
    """
    rows = len(units)
    total = np.square(units.sum(axis=0, dtype=np.float64)).sum()
    own = np.square(units, dtype=np.float64).sum()
    return float(1 - (total - own) / (rows * (rows - 1)))


def vendi_score(units: Matrix) -> float:
    """Vendi score under the cosine, between 1 (all alike) and the number of dimensions.

    Args:
        units: rows of unit length, shape (texts, dimensions).
    """
    rows, dimensions = units.shape
    # Both products have the same eigenvalues above zero; the smaller one is taken.
    product = units.T @ units if dimensions <= rows else units @ units.T
    shares = np.linalg.eigvalsh(product.astype(np.float64) / rows)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def semantic_diversity(
    vectors: Vectors, replicates: int, random: np.random.Generator
) -> dict[str, float]:
    """Both measures of a set, with 95 % intervals.

    Args:
        vectors: shape (texts, dimensions); four texts at least; zero vectors count as unlike all.
        replicates: how many halves are drawn.
        random: what they are drawn with.

    Returns:
        `mean_cosine_distance`, `vendi_score`, and `_low` and `_high` of each.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)
    halves: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for _ in range(replicates):
        half = units[random.permutation(len(units))[: len(units) // 2]]
        halves["mean_cosine_distance"].append(mean_cosine_distance(half))
        halves["vendi_score"].append(vendi_score(half))
    values = {
        "mean_cosine_distance": mean_cosine_distance(units),
        "vendi_score": vendi_score(units),
    }
    measured: dict[str, float] = {}
    for measure, value in values.items():
        # A half's own level differs (fewer texts, fewer unlike ones): only its spread is used.
        low, high = np.percentile(halves[measure], _INTERVAL) - np.mean(halves[measure])
        measured[measure] = value
        measured[f"{measure}_low"] = value + float(low)
        measured[f"{measure}_high"] = value + float(high)
    return measured
