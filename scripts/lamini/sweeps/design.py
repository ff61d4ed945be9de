"""The cheapest part of a sweep that estimates the score at its largest size precisely enough.

Before anything is measured, the precision of a part follows from the deviation between seeds and
from the exponent of the law (`lamini.sweeps.law`), both assumed. The other numbers of the law have
no effect on it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

EXPONENT = 0.3
"""Exponent of the law that is assumed."""
PARAMETERS = 3
"""Parameters of the law; a part needs as many sizes, and one training more."""


@dataclass(frozen=True)
class Part:
    """Some sizes of a sweep, each with the same number of seeds."""

    sizes: tuple[float, ...]
    """Shares of the training pairs, ascending."""
    seeds: int
    hours: float
    error: float
    """Half of the expected 95 % interval of the score at the sweep's largest size, in points."""


def expected_error(
    sizes: Sequence[float], seeds: int, largest: float, deviation: float, exponent: float = EXPONENT
) -> float:
    """Half of the expected 95 % interval of the law at a size, in points.

    It is that of least squares with the law's derivatives (Bates and Watts 1988, Nonlinear
    Regression Analysis, section 2.3.2).

    Args:
        sizes: sizes that are trained; at least three different ones.
        seeds: trainings at each size.
        largest: the size in question.
        deviation: standard deviation between the seeds of a size, in points.
        exponent: exponent of the law.
    """
    from scipy.special import stdtrit

    shares = np.asarray(sizes) / largest
    powers = shares**-exponent
    # Derivatives by a, b and c; scaling the last one by b changes nothing, as it is 0 in `at`.
    derivatives = np.column_stack([np.ones_like(powers), powers, np.log(shares) * powers])
    at = np.array([1.0, 1.0, 0.0])
    inverse = np.linalg.inv(seeds * derivatives.T @ derivatives)
    freedom = seeds * len(sizes) - PARAMETERS
    quantile = float(stdtrit(freedom, 0.975))
    return quantile * deviation * math.sqrt(float(at @ inverse @ at))


def parts(
    hours: Mapping[float, float], seeds: int, deviation: float, exponent: float = EXPONENT
) -> Iterator[Part]:
    """All parts of a sweep whose law can be fitted.

    Args:
        hours: cost of one seed at each size.
        seeds: number of seeds of the whole sweep.
        deviation: standard deviation between seeds, in points.
        exponent: exponent of the law.
    """
    for count in range(PARAMETERS, len(hours) + 1):
        for sizes in combinations(sorted(hours), count):
            for used in range(1, seeds + 1):
                if used * count > PARAMETERS:
                    error = expected_error(sizes, used, max(hours), deviation, exponent)
                    yield Part(sizes, used, used * sum(hours[size] for size in sizes), error)
