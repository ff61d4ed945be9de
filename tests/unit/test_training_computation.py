"""Choice of a run's computation method, and its log."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import architecture, recipe, tiny_cache, tiny_model

from lamini.students.token_cache import TokenCache
from lamini.training import computation as computation_module
from lamini.training.computation import Computation
from lamini.training.job import TrainingJob
from lamini.training.ranks import Ranks
from lamini.training.ways import pairs_to_prove, ways_to_try


class OtherRankRefuses(Ranks):
    """A second process that refuses the first method."""

    def any(self, flag: bool) -> bool:
        """Its answers: yes to the first question, then no."""
        self.asked = getattr(self, "asked", 0) + 1
        return flag or self.asked == 1


def _computation(name: str, cache: TokenCache, ranks: Ranks, **changes: Any) -> Computation:
    job = TrainingJob.model_validate(
        {
            "model": name,
            "name": name,
            "architecture": architecture(name),
            "initialization": {"path": name},
            "tokenizer": {"path": name},
            "prompt_format": "bare",
            "pad_token": None,
            "recipe": recipe(**changes).as_params(),
        }
    )
    return Computation(
        job=job,
        model=tiny_model(name),
        start_token=0,
        cache=cache,
        used=np.arange(len(cache)),
        ranks=ranks,
        work=cache.folder,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"), shared=11)


@pytest.mark.parametrize(
    ("name", "ways"), [("gpt2", ["shared_prefix", "rows"]), ("t5", ["packed", "rows"])]
)
def test_all_ranks_take_the_slowest_way_of_any(
    name: str, ways: list[str], cache: TokenCache
) -> None:
    assert _computation(name, cache, Ranks(0)).choice.way == ways[0]
    assert _computation(name, cache, OtherRankRefuses(0)).choice.way == ways[1]


@pytest.mark.parametrize("name", ["gpt2", "t5"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_has_the_same_loss_by_every_way(
    name: str, precision: str, cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, weights = np.arange(len(cache)), np.full(len(cache), 0.01)
    sums = []
    for first in range(3):
        ways = ways_to_try(tiny_model(name))[first:]
        monkeypatch.setattr(computation_module, "ways_to_try", lambda *_, ways=ways, **__: ways)
        computed = _computation(name, cache, Ranks(0), precision=precision)
        assert computed.choice.way == ways[0]
        sums.append(computed.sums(computed.prepare(pairs, weights)))
    fed = cache.prompt_lengths.sum() + cache.response_lengths.sum()
    fed -= len(cache) if name == "gpt2" else 0
    assert [one.tokens for one in sums] == [fed] * 3
    assert sums[2].padding == 0.0  # each pair alone
    tolerance = 1e-6 if precision == "fp32" else 3e-3
    assert [one.loss for one in sums] == pytest.approx([sums[2].loss] * 3, rel=tolerance)


def test_rows_of_an_encoder_decoder_are_packed(cache: TokenCache) -> None:
    """828 prompt tokens and 523 response tokens of 24 pairs fill three rows."""
    computation = _computation("t5", cache, Ranks(0), tokens_per_micro_batch=8192)
    prepared = computation.prepare(np.arange(len(cache)), np.full(len(cache), 0.01))
    ((batch,),) = prepared.layout
    assert (len(batch.rows), batch.encoder, batch.decoder) == (3, 296, 196)
    assert sum(map(len, batch.rows)) == len(cache)
    assert computation.sums(prepared).padding == pytest.approx(1 - (828 + 523) / (3 * (296 + 196)))


def test_rows_have_few_shapes_where_micro_batches_are_expensive(
    cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, weights = np.arange(len(cache)), np.full(len(cache), 0.01)
    plain = _computation("t5", cache, Ranks(0))
    loss = plain.sums(plain.prepare(pairs, weights)).loss
    asked: list[Any] = []

    def choose(*lengths: np.ndarray, **others: int) -> np.ndarray:
        asked.append(([each.tolist() for each in lengths], others))
        return np.array([[64, 64]])

    monkeypatch.setattr(computation_module, "choose_shapes", choose)
    computation = _computation("t5", cache, Ranks(0), tokens_per_micro_batch=5000)
    lengths = [cache.prompt_lengths.tolist(), cache.response_lengths.tolist()]
    costs = {"budget": 5000, "overhead": 128}
    assert asked == [(lengths, {"pairs": 8, "ranks": 1, **costs})]
    prepared = computation.prepare(pairs, weights)
    ((batch,),) = prepared.layout
    assert (len(batch.rows), batch.encoder, batch.decoder) == (16, 64, 64)
    assert batch.rows[-1] == ()
    assert computation.sums(prepared).loss == pytest.approx(loss, rel=1e-6)


def test_layers_that_are_computed_again_share_no_prefix() -> None:
    model = tiny_model("gpt2")
    assert ways_to_try(model) == ["shared_prefix", "rows", "alone"]
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert ways_to_try(model) == ["rows", "alone"]


def test_rows_longer_than_the_positions_are_not_packed() -> None:
    assert ways_to_try(tiny_model("t5")) == ["packed", "rows", "alone"]
    assert ways_to_try(tiny_model("bart")) == ["rows", "alone"]


def test_the_longest_and_as_many_short_pairs_as_allowed_are_proven(tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path, pairs=40)
    lengths = cache.prompt_lengths + cache.response_lengths
    used = np.arange(4, 40)
    few, many = (pairs_to_prove(cache, used, most) for most in (1, 200))
    order = used[np.argsort(lengths[used], kind="stable")]
    assert few.tolist() == [order[0], order[-1]]
    assert many[-1] == order[-1]
    assert lengths[many[:-1]].sum() <= 200 < lengths[many[:-1]].sum() + lengths[order[-1]]
    assert (np.diff(lengths[many]) >= 0).all()
    assert len(set(many.tolist())) == len(many)
    # 16 places from the first to the last of 36 pairs, of which the last is the longest pair.
    spread = [35 * place // 15 for place in range(15)]
    everything = pairs_to_prove(cache, used, 10**6)
    assert everything.tolist() == [*order[spread], order[-1]]


def test_a_cache_that_stops_the_gradient_is_refused(
    cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.cache_utils import DynamicLayer

    update = DynamicLayer.update

    def detached(self: Any, keys: torch.Tensor, *others: Any, **named: Any) -> Any:
        return update(self, keys.detach(), *others, **named)

    monkeypatch.setattr(DynamicLayer, "update", detached)
    choice = _computation("llama", cache, Ranks(0)).choice
    assert choice.way == "rows"
    assert "stops the gradient" in choice.refused["shared_prefix"]


@pytest.mark.parametrize("name", ["gpt2", "cerebras-gpt", "llama"])
def test_a_flat_row_is_taken_where_the_device_has_its_kernel(
    name: str, cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamini.training.ways.has_kernel", lambda device: True)
    assert _computation(name, cache, Ranks(0)).choice.way == "shared_prefix"  # fp32
    computation = _computation(name, cache, Ranks(0), precision="bf16", tokens_per_micro_batch=600)
    assert computation.choice.fields() == {"way": "flat"}
    prepared = computation.prepare(np.arange(len(cache)), np.full(len(cache), 0.01))
    assert computation.sums(prepared).padding == 0
    assert max(len(batch.rows[0]) for batch in prepared.layout[0]) >= 3


def test_models_with_attention_or_positions_of_their_own_have_no_flat_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lamini.training.ways.has_kernel", lambda device: True)
    assert ways_to_try(tiny_model("gpt2"), "bf16") == ["flat", "shared_prefix", "rows", "alone"]
    assert ways_to_try(tiny_model("gpt-neo"), "bf16") == ["shared_prefix", "rows", "alone"]
    assert ways_to_try(tiny_model("t5"), "bf16") == ["packed", "rows", "alone"]


def test_tokens_end_to_end_are_those_of_each_pair(cache: TokenCache) -> None:
    pairs = np.array([5, 2, 9])
    ids, places = cache.end_to_end(pairs)
    apart = [np.concatenate([cache.prompt(p), cache.response(p)]) for p in pairs.tolist()]
    assert ids.tolist() == np.concatenate(apart).tolist()
    assert places.tolist() == [place for part in apart for place in range(len(part))]
