"""Means and comparisons with seeds and examples as sources of chance."""

import math
from itertools import combinations

import numpy as np
import pytest
from sweep_cases import Simulated, Tables

from lamini.evaluation.comparison import compare, holm
from lamini.sweeps.two_levels import two_level_mean


def _differences(first: list[Tables], second: list[Tables]) -> list[Tables]:
    """Differences of two students at each size."""
    return [{task: a[task] - b[task] for task in a} for a, b in zip(first, second, strict=True)]


def test_the_variance_is_that_of_the_mean_squares() -> None:
    """Against the textbook's formulas of two crossed random factors, for one task and size."""
    table = np.random.default_rng(1).normal(size=(4, 7)) + np.arange(4)[:, None]
    found = two_level_mean({"task": table / 100})
    seeds, examples = table.shape
    of_seeds = examples * table.mean(axis=1).var(ddof=1)
    of_examples = seeds * table.mean(axis=0).var(ddof=1)
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    of_both = (left**2).sum() / ((seeds - 1) * (examples - 1))
    own = max(of_examples - of_both, 0)
    variance = (of_seeds + own) / table.size
    freedom = variance**2 / (
        (of_seeds / table.size) ** 2 / (seeds - 1) + (own / table.size) ** 2 / (examples - 1)
    )
    from scipy.stats import t

    half = t.ppf(0.975, freedom) * math.sqrt(variance)
    assert found.mean == pytest.approx(table.mean())
    assert found.interval == pytest.approx((table.mean() - half, table.mean() + half))
    assert found.p_value == pytest.approx(
        2 * t.sf(abs(table.mean()) / math.sqrt(variance), freedom)
    )
    assert found.seed_deviation == pytest.approx(table.mean(axis=1).std(ddof=1))
    assert found.example_error == pytest.approx(math.sqrt(of_examples / table.size))


def test_one_seed_says_nothing_of_chance() -> None:
    found = two_level_mean({"a": np.array([[1, 0, 1, 1]]), "b": np.array([[1, 1]])})
    assert (found.mean, found.interval, found.p_value, found.seed_deviation) == (
        87.5,
        None,
        None,
        None,
    )
    assert found.example_error == pytest.approx(100 * math.sqrt(0.25 / 4) / 2)


def test_equal_values_are_not_tested() -> None:
    found = two_level_mean({"a": np.zeros((3, 5))})
    assert (found.mean, found.interval, found.p_value) == (0.0, None, None)


def test_tasks_count_the_same_and_other_sizes_give_the_variance_between_seeds() -> None:
    one = {"a": np.array([[0.0, 1], [1, 1]]), "b": np.array([[1.0, 1, 1, 1], [1, 1, 1, 0]])}
    found = two_level_mean(one)
    assert found.mean == pytest.approx(100 * (0.75 + 0.875) / 2)
    at_seeds = [(0.5 + 1) / 2, (1 + 0.75) / 2]
    assert found.seed_deviation == pytest.approx(100 * np.std(at_seeds, ddof=1))
    alike = {task: np.full(table.shape, 1.0) for task, table in one.items()}
    pooled = two_level_mean(one, [alike])
    assert pooled.seed_deviation == pytest.approx(found.seed_deviation / math.sqrt(2))
    assert pooled.mean == found.mean


def test_tasks_of_few_seeds_and_examples_have_the_variance_of_all_mean_squares() -> None:
    tables = {
        "a": np.array([[0.0, 0.9, 0.1, 1.0, 0.2], [0.1, 1.0, 0.0, 0.8, 0.2]]),
        "b": np.array([[0.0, 0.9], [0.2, 1.0]]),
    }
    found = two_level_mean(tables)
    own, of_examples = 0.0, 0.0
    for table in tables.values():
        left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
        of_both = (left**2).sum() / (table.shape[1] - 1) / table.size
        by_example = table.mean(axis=0).var(ddof=1) / table.shape[1]
        of_examples += by_example / 4  # of a mean of two tasks
        own += (by_example - of_both) / 4
    at_seeds = np.mean([table.mean(axis=1) for table in tables.values()], axis=0)
    between = at_seeds.var(ddof=1) / 2
    freedom = (between + own) ** 2 / (between**2 + own**2)  # one seed and one example more
    from scipy.stats import t

    half = 100 * t.ppf(0.975, freedom) * math.sqrt(between + own)
    assert found.interval == pytest.approx((found.mean - half, found.mean + half))
    assert found.example_error == pytest.approx(100 * math.sqrt(of_examples))


def test_further_sizes_add_fewer_degrees_of_freedom_than_seeds() -> None:
    from scipy.stats import t

    # No example differs from another, so the only chance is that of three seeds at two sizes.
    one, other = (np.repeat([[a], [b], [c]], 4, axis=1) for a, b, c in ((0, 1, 1), (1, 0, 0.5)))
    found = two_level_mean({"a": one}, [{"a": other}])
    between = 100**2 * (np.var([0, 1, 1], ddof=1) + np.var([1, 0, 0.5], ddof=1)) / 2
    half = t.ppf(0.975, 4 / 1.25) * math.sqrt(between / 3)
    assert found.interval == pytest.approx((200 / 3 - half, 200 / 3 + half))


def test_a_task_of_one_example_has_no_chance_of_examples() -> None:
    tables = {"a": np.array([[1.0], [1.0]]), "b": np.array([[0.0, 1, 1], [0.0, 1, 1]])}
    found = two_level_mean(tables)
    error = 100 * math.sqrt(np.var([0, 1, 1], ddof=1) / 3) / 2
    assert (found.seed_deviation, found.example_error) == (0.0, pytest.approx(error))
    assert found.interval is not None and found.p_value is not None


CHANCE = {
    "the usual": Simulated(),
    "large chance": Simulated(deviation=0.02),
    "hardly any chance of seeds": Simulated(deviation=0.0005),
    "seeds that differ more on little data": Simulated(deviation=0.01, growth=3.0),
    "seeds alike at all sizes": Simulated(deviation=0.01, common=0.5),
    "two seeds": Simulated(seeds=2),
}


@pytest.mark.parametrize("name", CHANCE)
def test_equal_students_beat_each_other_in_at_most_one_sweep_of_20(name: str) -> None:
    """Three equal students, all compared, corrected by Holm: at least one claim in a sweep."""
    generator, wrong = np.random.default_rng(6), 0
    for _ in range(500):
        students = CHANCE[name].draw(generator, 3)
        tests = [
            two_level_mean(sizes[-1], sizes[:-1]).p_value
            for sizes in (_differences(*pair) for pair in combinations(students, 2))
        ]
        wrong += min(holm([p for p in tests if p is not None])) < 0.05
    assert wrong / 500 <= 0.05, "without the lower freedom of further sizes it is about 0.05"


@pytest.mark.parametrize("name", CHANCE)
def test_one_training_is_compared_with_the_chance_of_its_seeds(name: str) -> None:
    """A training that is as good as a model without seeds, as students and their baselines."""
    generator, wrong = np.random.default_rng(7), 0
    for _ in range(500):
        (sizes,) = CHANCE[name].draw(generator, 1)
        (fixed,) = Simulated(seeds=1, deviation=0.0).draw(generator, 1)
        swept = _differences(sizes, [fixed[-1]] * len(sizes))
        own = {task: table[:1] for task, table in swept[-1].items()}
        found = two_level_mean(own, swept)
        wrong += found.p_value is not None and found.p_value < 0.05
        of_seeds = two_level_mean(swept[-1], swept[:-1])
        assert found.seed_deviation == pytest.approx(of_seeds.seed_deviation)
    assert wrong / 500 <= 0.05


def test_examples_alone_call_chance_a_difference() -> None:
    """What the usual test of one run each says of equal students whose seeds differ."""
    generator, wrong = np.random.default_rng(6), 0
    for number in range(200):
        first, second = Simulated(deviation=0.02).draw(generator, 2)
        one, other = (np.concatenate([t[0] for t in s[-1].values()]) for s in (first, second))
        wrong += compare(one, other, number).p_value < 0.05
    assert wrong / 200 > 0.2


def test_a_better_student_is_found() -> None:
    generator, found = np.random.default_rng(6), 0
    for _ in range(100):
        better, worse = (Simulated(a=a, examples=1500).draw(generator, 1)[0] for a in (0.67, 0.62))
        sizes = _differences(better, worse)
        mean = two_level_mean(sizes[-1], sizes[:-1])
        assert mean.interval is not None
        found += mean.interval[0] > 0
    assert found >= 80
