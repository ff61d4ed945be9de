"""Semantic diversity of a set of embeddings, with confidence intervals.

Two measures: the mean cosine distance between two texts, and the Vendi score (Friedman and Dieng
2023). The Vendi score is the exponential of the entropy of the similarity matrix's eigenvalues, an
effective number of dissimilar texts. Both are computed without a matrix of all pairs of texts.

The intervals come from random halves, drawn without replacement. A bootstrap (with replacement)
repeats texts, which makes any set look less diverse than it is. The spread of halves around their
mean equals that of full samples around theirs, because each half omits half of the sample.
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
    """Mean of 1 - cosine similarity over all pairs of different rows.

    Args:
        units: rows of unit length, shape (texts, dimensions); at least two rows.
    """
    rows = len(units)
    total = np.square(units.sum(axis=0, dtype=np.float64)).sum()
    own = np.square(units, dtype=np.float64).sum()
    return float(1 - (total - own) / (rows * (rows - 1)))


def vendi_score(units: Matrix) -> float:
    """Vendi score with cosine similarity, from 1 (all equal) to the number of dimensions.

    Args:
        units: rows of unit length, shape (texts, dimensions).
    """
    rows, dimensions = units.shape
    # Both products have the same positive eigenvalues; the smaller matrix is faster.
    product = units.T @ units if dimensions <= rows else units @ units.T
    shares = np.linalg.eigvalsh(product.astype(np.float64) / rows)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def semantic_diversity(
    vectors: Vectors, replicates: int, random: np.random.Generator
) -> dict[str, float]:
    """Both measures of a set, with 95 % confidence intervals.

    Args:
        vectors: shape (texts, dimensions), at least four texts; a zero vector counts as dissimilar
            to all others.
        replicates: number of random halves.
        random: generator that draws the halves.

    Returns:
        `mean_cosine_distance` and `vendi_score`, each also with the endings `_low` and `_high`.
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
        # Halves have a lower level (fewer dissimilar texts), so only their spread is used.
        low, high = np.percentile(halves[measure], _INTERVAL) - np.mean(halves[measure])
        measured[measure] = value
        measured[f"{measure}_low"] = value + float(low)
        measured[f"{measure}_high"] = value + float(high)
    return measured
