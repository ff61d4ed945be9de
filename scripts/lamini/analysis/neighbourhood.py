"""How much of the neighbourhood of the embeddings a projection to two dimensions keeps.

A layout by t-SNE always loses neighbours, and its islands and distances depend on the start of the
computation. Two measures say how much: the share of the nearest neighbours that are also nearest in
the layout, and the trustworthiness (Venna and Kaski 2001), which also counts how far away the false
neighbours of the layout are in the embeddings.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lamini.arrays import Integers

Points = np.ndarray[Any, np.dtype[np.floating[Any]]]
NEIGHBOURS = 15
"""Nearest neighbours per point."""
MOST_QUERIES = 2000
"""Maximum number of points whose neighbours are compared, with all other points."""
_AT_ONCE = 64


class Kept(NamedTuple):
    """What two layouts of the same points keep."""

    neighbours: int
    """Neighbours per point: `NEIGHBOURS`, or a third of the other points if that is less."""
    queries: int
    """Number of points whose neighbours were compared."""
    shares: tuple[float, float]
    """Mean share of the neighbours that are also neighbours in each layout."""
    trust: tuple[float, float]
    """Trustworthiness of each layout, from 0 to 1."""
    both: float
    """Mean share of one layout's neighbours that are also neighbours in the other."""
    chance: float
    """Expected share in a layout of random positions."""


def kept_neighbours(vectors: Points, layouts: tuple[Points, Points], seed: int) -> Kept:
    """Compare the neighbours of the same points in their vectors and in two layouts.

    Args:
        vectors: shape (points, dimensions); compared by cosine. At least 4 points.
        layouts: positions, shape (points, 2) each; compared by Euclidean distance.
        seed: seed of the sample of points whose neighbours are compared.
    """
    points = len(vectors)
    count = max(min(NEIGHBOURS, (points - 1) // 3), 1)
    random = np.random.default_rng(seed)
    queries = np.sort(random.choice(points, min(points, MOST_QUERIES), replace=False))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)
    shared, excess = np.zeros(3), np.zeros(2)
    orders = (_orders(space, queries) for space in (units, *layouts))
    for true, first, second in zip(*orders, strict=True):
        ranks = np.empty_like(true)
        np.put_along_axis(ranks, true, np.arange(points - 1)[None, :], axis=1)
        near = [order[:, :count] for order in (first, second)]
        for number, nearest in enumerate(near):
            beyond = np.take_along_axis(ranks, nearest, axis=1) + 1 - count
            shared[number] += (beyond <= 0).sum()
            excess[number] += np.maximum(beyond, 0).sum()
        shared[2] += (near[0][:, :, None] == near[1][:, None, :]).sum()
    shares = shared / (len(queries) * count)
    most = len(queries) * count * (2 * points - 3 * count - 1) / 2
    return Kept(
        neighbours=count,
        queries=len(queries),
        shares=(float(shares[0]), float(shares[1])),
        trust=(float(1 - excess[0] / most), float(1 - excess[1] / most)),
        both=float(shares[2]),
        chance=count / (points - 1),
    )


def _orders(space: Points, queries: Integers) -> Iterator[Integers]:
    """Yield the other points of some queries, nearest first; shape (queries, points - 1).

    The other points are numbered without the query, so that no point is its own neighbour.
    """
    exact = space.astype(np.float64)
    squares = np.square(exact).sum(axis=1)
    for start in range(0, len(queries), _AT_ONCE):
        rows = queries[start : start + _AT_ONCE]
        distances = squares[None, :] - 2 * exact[rows] @ exact.T
        others = np.ones(distances.shape, np.bool_)
        others[np.arange(len(rows)), rows] = False
        kept = distances[others].reshape(len(rows), -1)
        yield np.argsort(kept, axis=1, kind="stable")
