"""The law of size: its parameters, its intervals, and their share of simulated sweeps."""

import numpy as np
import pytest
from sweep_cases import SIZES, Simulated, scores

from lamini.sweeps.law import LEAST, Law


def _values(a: float, b: float, c: float, noise: float = 0.0, seeds: int = 3) -> np.ndarray:
    generator = np.random.default_rng(3)
    sizes = np.repeat(SIZES, seeds)
    return a + b * sizes**-c + noise * generator.normal(size=len(sizes))


@pytest.mark.parametrize(
    ("a", "b", "c"), [(60.0, -300.0, 0.3), (2.0, 40.0, 0.5), (1.5, 9.0, 0.05), (50.0, -5e6, 1.8)]
)
def test_a_law_without_noise_is_found_exactly(a: float, b: float, c: float) -> None:
    law = Law(np.repeat(SIZES, 2).tolist(), _values(a, b, c, seeds=2).tolist())
    assert law.parameters == pytest.approx((a, b, c), rel=1e-4)
    assert law.deviation == pytest.approx(0, abs=1e-6)
    found = law.predict(1e6)
    assert (found.low, found.value, found.high) == pytest.approx([a + b * 1e6**-c] * 3, rel=1e-5)


def test_the_fit_is_that_of_scipy() -> None:
    from scipy.optimize import curve_fit

    sizes, values = np.repeat(SIZES, 3), _values(60, -300, 0.3, noise=0.3)
    law = Law(sizes.tolist(), values.tolist())

    def by_scipy(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return a + b * n**-c

    fitted, _ = curve_fit(by_scipy, sizes, values, p0=(55, -200, 0.25))
    assert law.parameters == pytest.approx(tuple(fitted), rel=1e-3)
    left = values - by_scipy(sizes, *fitted)
    assert law.deviation == pytest.approx(np.sqrt((left**2).sum() / (len(sizes) - 3)), rel=1e-6)


def test_an_interval_is_the_values_through_which_the_law_still_fits() -> None:
    """The end of the interval is found again by fits that are forced through a value."""
    from scipy.optimize import brentq
    from scipy.stats import t

    sizes, values = np.repeat(SIZES, 3), _values(60, -300, 0.3, noise=0.3)
    law = Law(sizes.tolist(), values.tolist())
    least = law.deviation**2 * law.freedom
    allowed = least * (1 + t.ppf(0.975, law.freedom) ** 2 / law.freedom)
    exponents = np.geomspace(LEAST, 3, 600)

    def squares(value: float, size: float) -> float:
        """Smallest sum of squares of a + b n^-c that has this value at the size."""
        found = []
        for c in exponents:
            powers = sizes**-c - size**-c
            slope = powers @ (values - value) / (powers @ powers)
            found.append(((values - value - slope * powers) ** 2).sum())
        return float(min(found))

    for size in (2500.0, 40_000.0, 1e6):
        made = law.predict(size)
        for start, end in ((made.value, made.value + 9), (made.value - 9, made.value)):
            edge = brentq(lambda value, n=size: squares(value, n) - allowed, start, end)
            assert edge == pytest.approx(made.high if edge > made.value else made.low, abs=2e-3)


def test_few_new_trainings_spread_more_and_the_law_is_surest_between_its_sizes() -> None:
    law = Law(np.repeat(SIZES, 3).tolist(), _values(60, -300, 0.3, noise=0.3).tolist())
    widths = [(p := law.predict(250_000, seeds)).high - p.low for seeds in (1, 3, 1000, None)]
    assert widths[0] > 1.3 * widths[1] > 1.3 * widths[2]
    assert widths[2] == pytest.approx(widths[3], rel=0.01)
    outside, inside = law.predict(2_500_000), law.predict(25_000)
    assert outside.high - outside.low > 3 * (inside.high - inside.low)


def test_flat_values_have_a_flat_law() -> None:
    law = Law(SIZES.tolist(), [50.0] * 5)
    assert (law.deviation, law.predict(1e7).value) == (0.0, 50.0)


@pytest.mark.parametrize(
    ("sizes", "values"), [([1, 1, 2, 2], [1, 2, 3, 4]), ([1, 2, 3], [1, 2, 3]), ([], [])]
)
def test_too_few_sizes_or_trainings_are_refused(sizes: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError, match="three sizes and four trainings"):
        Law(sizes, values)


def share_within(simulated: Simulated, sweeps: int, seed: int, held: int = -1) -> float:
    """Share of simulated sweeps whose held-back size lies in the interval that is predicted."""
    generator = np.random.default_rng(seed)
    inside = 0
    for _ in range(sweeps):
        (tables,) = simulated.draw(generator, 1)
        measured = np.array([scores(size) for size in tables])
        left = np.delete(np.arange(len(SIZES)), held)
        law = Law(np.repeat(SIZES[left], simulated.seeds).tolist(), measured[left].ravel().tolist())
        found = law.predict(SIZES[held], simulated.seeds)
        inside += found.low <= measured[held].mean() <= found.high
    return inside / sweeps


LAWS = {
    "the usual": Simulated(),
    "large chance": Simulated(deviation=0.02),
    "steep": Simulated(a=0.6, b=-40.0, c=0.7),
    "nearly a logarithm": Simulated(a=1.2, b=-1.2, c=0.05),
    "no effect of size": Simulated(a=0.5, b=-1e-9),
    "seeds that differ more on little data": Simulated(deviation=0.01, growth=3.0),
    "seeds alike at all sizes": Simulated(deviation=0.01, common=0.5),
    "two seeds": Simulated(seeds=2),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_held_back_size_lies_within_its_interval_in_9_of_10_sweeps(name: str) -> None:
    assert share_within(LAWS[name], sweeps=500, seed=3) >= 0.9


def test_a_size_between_others_lies_within_its_interval_in_9_of_10_sweeps() -> None:
    assert share_within(Simulated(), sweeps=500, seed=2, held=2) >= 0.9
