"""Pairs longer than a model's position limit are refused with their id, in all families."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import families
import numpy as np
import pytest
from training_cases import tiny_cache

from lamini.errors import LaminiError
from lamini.students.token_cache import TokenCache
from lamini.training.pairs import Selection
from lamini.training.run import check_positions


def _check(name: str, cache: TokenCache) -> None:
    job: Any = SimpleNamespace(model=name, architecture=families.architecture(name))
    used = np.arange(len(cache))
    check_positions(job, Selection(used[2:], used[:2], []), cache, families.build(name))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("long"), longest=300)


@pytest.mark.parametrize("name", ["bart", "mbart", "pegasus", "led", "prophetnet", "t5gemma"])
def test_an_encoder_decoder_names_the_side_that_is_too_long(name: str, long: TokenCache) -> None:
    longest = int(long.prompt_lengths.argmax())
    message = rf"{name}: pair {longest} has {long.prompt_lengths.max()} tokens, the encoder \d+"
    with pytest.raises(LaminiError, match=message + " positions; lower max_prompt_tokens"):
        _check(name, long)


@pytest.mark.parametrize("name", ["gpt2", "llama", "opt", "gemma3", "gemma4"])
def test_a_decoder_counts_prompt_and_response(name: str, long: TokenCache) -> None:
    lengths = long.prompt_lengths + long.response_lengths - 1
    message = f"{name}: pair {lengths.argmax()} has {lengths.max()} tokens, the model"
    with pytest.raises(LaminiError, match=message):
        _check(name, long)


@pytest.mark.parametrize("name", ["t5", "mt5", "longt5", "bloom", "mamba"])
def test_families_without_positions_take_pairs_of_any_length(name: str, long: TokenCache) -> None:
    _check(name, long)


def test_a_pair_that_fills_all_positions_is_taken(tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path, longest=40)
    lengths = cache.prompt_lengths + cache.response_lengths - 1
    model = families.build("gpt2")
    job: Any = SimpleNamespace(model="gpt2", architecture="decoder-only")
    used = np.arange(len(cache))
    selection = Selection(used[2:], used[:2], [])
    model.config.n_positions = int(lengths.max())
    check_positions(job, selection, cache, model)
    model.config.n_positions -= 1
    with pytest.raises(LaminiError, match=f"the model {lengths.max() - 1} positions"):
        check_positions(job, selection, cache, model)
