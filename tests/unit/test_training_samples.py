"""A share of the training pairs: the same of each source, and part of a larger one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from training_cases import recipe, tiny_cache

from lamini.errors import LaminiError
from lamini.students.token_cache import TokenCache
from lamini.training.pairs import select_pairs
from lamini.training.samples import chosen_pairs, read_sources, share_of

SIZES = {"a": 12, "c": 6, "b": 22}
"""Pairs of each source, in the dataset's order."""


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return tiny_cache(tmp_path / "cache", pairs=40)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    sources = [name for name, count in SIZES.items() for _ in range(count)]
    pl.DataFrame({"instruction_source": sources}).write_parquet(tmp_path / "d.parquet")
    return tmp_path / "d.parquet"


def test_a_smaller_share_is_part_of_a_larger_one_and_each_source_has_the_same_share() -> None:
    sources = np.random.default_rng(3).integers(0, 5, size=20_000)
    training = np.flatnonzero(np.random.default_rng(4).random(20_000) < 0.9)
    everything = np.bincount(sources[training])
    before: set[int] = set()
    for share in (0.001, 0.03, 0.1, 0.3, 0.300001, 0.999, 1.0):
        taken = share_of(training, sources, share, seed=1)
        assert (np.diff(taken) > 0).all()
        counts = np.bincount(sources[taken], minlength=5)
        assert counts.tolist() == np.floor(share * everything + 0.5).tolist()
        assert before <= set(taken.tolist()) <= set(training.tolist())
        before = set(taken.tolist())
    assert before == set(training.tolist())


def test_the_seed_alone_draws_the_pairs() -> None:
    sources, everything = np.zeros(1000, np.int64), np.arange(1000)
    one, two = (set(share_of(everything, sources, 0.5, seed).tolist()) for seed in (1, 2))
    assert one != two and 200 < len(one & two) < 300
    # A tokenizer with which 10 pairs are too long: the others stay as they were.
    fewer = set(share_of(everything[10:], sources, 0.5, 1).tolist())
    assert len(one ^ fewer) <= 10


def test_a_source_is_found_by_its_name(dataset: Path) -> None:
    codes, names = read_sources(dataset)
    assert names == ["a", "b", "c"]
    assert codes.tolist() == [0] * 12 + [2] * 6 + [1] * 22


def test_held_out_pairs_are_the_same_for_all_shares_and_seeds(
    cache: TokenCache, dataset: Path
) -> None:
    whole = select_pairs(cache, recipe(seed=7))
    assert chosen_pairs(cache, recipe(seed=7), None)[1] is None
    for seed in (1, 2):
        for share in (0.2, 0.5, None):
            settings = recipe(samples=share, seed=seed, held_out_seed=7)
            selection, sample = chosen_pairs(cache, settings, dataset)
            assert selection.held_out.tolist() == whole.held_out.tolist()
            assert set(selection.training.tolist()) <= set(whole.training.tolist())
            assert (sample is None) == (share is None)
    assert selection.training.tolist() == whole.training.tolist()


def test_what_was_drawn_is_counted(cache: TokenCache, dataset: Path) -> None:
    selection, sample = chosen_pairs(cache, recipe(samples=0.5, held_out_pairs=0), dataset)
    assert sample is not None
    assert sample.pairs_by_source == {"a": 6, "b": 11, "c": 3}
    assert (sample.share, sample.pairs_not_sampled, len(selection.training)) == (0.5, 20, 20)
    _, few = chosen_pairs(cache, recipe(samples=0.05, held_out_pairs=0), dataset)
    assert few is not None and few.pairs_by_source == {"a": 1, "b": 1, "c": 0}


def test_what_cannot_be_drawn_is_named(cache: TokenCache, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(LaminiError, match=r"0\.001 of 36 training pairs is none; raise `samples`"):
        chosen_pairs(cache, recipe(samples=0.001), dataset)
    with pytest.raises(LaminiError, match="give --dataset"):
        chosen_pairs(cache, recipe(samples=0.5), None)
    pl.DataFrame({"instruction_source": ["a"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(LaminiError, match=r"other.parquet: 1 pairs, but .* has 40; run"):
        chosen_pairs(cache, recipe(samples=0.5), tmp_path / "other.parquet")
