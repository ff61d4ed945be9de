"""The law of size: a + b * n^-c, fitted by least squares, with its 95 % intervals.

For a given exponent c, the law is linear in a and b, so only c is searched, and no start values are
needed. The intervals are those of the likelihood ratio (profile): a value is in the interval if the
law, forced through it, fits the trainings not significantly worse. Unlike intervals from the law's
derivatives they need not be symmetric, and they hold where the trainings hardly determine c
(Bates and Watts 1988, Nonlinear Regression Analysis, chapter 6).

Assumed: the deviation between seeds is normal and of one width at all sizes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lamini.arrays import Array
from lamini.sweeps.design import PARAMETERS

LEAST, MOST = 0.01, 3.0
"""Smallest and largest exponent. At the smallest, the law is nearly a + b * log n."""
_GRID = np.geomspace(LEAST, MOST, 600)


@dataclass(frozen=True)
class Prediction:
    """A value of the law with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Lines:
    """Least-squares lines in `_power`, one for each exponent. Shape of all fields (exponents,)."""

    exponents: Array
    start: Array
    slope: Array
    squares: Array
    """Sum of the squared residuals."""
    centre: Array
    """Mean of the powers."""
    spread: Array
    """Sum of squares of the powers around their mean."""


class Law:
    """The law that fits the values of some trainings best.

    Args:
        sizes: number of training pairs of each training. Shape (trainings,).
        values: score or loss of each training. Shape (trainings,).

    Raises:
        ValueError: if there are fewer than three sizes or four trainings.
    """

    def __init__(self, sizes: Sequence[float], values: Sequence[float]) -> None:
        self._values = np.asarray(values, float)
        self.freedom = len(self._values) - PARAMETERS
        if len(set(sizes)) < PARAMETERS or self.freedom < 1:
            raise ValueError("a law needs three sizes and four trainings")
        # Relative to the largest size, so that the powers stay near 1.
        self._unit = float(max(sizes))
        self._shares = np.asarray(sizes, float) / self._unit

    @cached_property
    def exponent(self) -> float:
        """Exponent c."""
        from scipy.optimize import minimize_scalar

        squares = self._lines(_GRID).squares
        best = int(np.argmin(squares))
        bounds = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
        optimum = minimize_scalar(
            lambda c: float(self._lines(np.array([c])).squares[0]),
            bounds=bounds,
            method="bounded",
            options={"xatol": 1e-9},
        )
        return float(optimum.x) if optimum.fun < squares[best] else float(_GRID[best])

    @property
    def parameters(self) -> tuple[float, float, float]:
        """a, b and c for n in pairs."""
        start, slope, c = self._best.start[0], self._best.slope[0], self.exponent
        # The line is start + slope * (x^-c - 1) / c with x = n / unit.
        return float(start - slope / c), float(slope / c * self._unit**c), c

    @property
    def deviation(self) -> float:
        """Standard deviation of a training around the law."""
        return math.sqrt(self._best.squares[0] / self.freedom)

    def predict(self, size: float, seeds: int | None = None) -> Prediction:
        """The law at a size, and its 95 % interval.

        Args:
            size: number of training pairs.
            seeds: None: the interval is that of the law; otherwise it is that of the mean of so
                many new trainings.
        """
        from scipy.special import stdtrit

        lines = self._best
        at = _power(np.array([size / self._unit]), lines.exponents)[:, 0]
        values = lines.start + lines.slope * at
        # Likelihood ratio: the worse an exponent fits, the smaller the interval around its line.
        allowed = float(stdtrit(self.freedom, 0.975)) ** 2 * lines.squares[0] / self.freedom
        room = np.maximum(allowed - (lines.squares - lines.squares[0]), 0.0)
        leverage = 1 / len(self._values) + (at - lines.centre) ** 2 / lines.spread
        half = np.sqrt(room * (leverage + (1 / seeds if seeds else 0.0)))
        near = (room > 0) | (lines.exponents == self.exponent)
        low, high = (values - half)[near].min(), (values + half)[near].max()
        return Prediction(float(values[0]), float(low), float(high))

    @cached_property
    def _best(self) -> _Lines:
        """The line of the best exponent (the first one), and those of the whole grid."""
        return self._lines(np.array([self.exponent, *_GRID]))

    def _lines(self, exponents: Array) -> _Lines:
        powers = _power(self._shares, exponents)
        centre = powers.mean(axis=1)
        centred = powers - centre[:, None]
        spread = (centred**2).sum(axis=1)
        slope = centred @ self._values / spread
        start = self._values.mean() - slope * centre
        left = self._values - start[:, None] - slope[:, None] * powers
        return _Lines(exponents, start, slope, (left**2).sum(axis=1), centre, spread)


def _power(shares: Array, exponents: Array) -> Array:
    """(x^-c - 1) / c: a power that tends to -log x for small exponents, instead of to 1.

    Returns:
        Shape (exponents, shares).
    """
    c = exponents[:, None]
    return np.asarray(np.expm1(-c * np.log(shares)) / c)
