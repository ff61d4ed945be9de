"""Computation that requests share is done once, and does not change their answers."""

import itertools
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from training_cases import CONFIGS, VOCABULARY, tiny_model

from lamini.errors import LaminiError
from lamini.evaluation import batches, scoring
from lamini.evaluation.batches import PADDING, Batching, padded_size
from lamini.evaluation.models import spread_over_devices
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import Scorer, ScoringWay
from lamini.evaluation.tries import MAX_TOKENS, MIN_SHARED, build_rows
from lamini.training.micro_batches import MicroBatchCosts

texts = st.lists(st.integers(0, 2), min_size=1, max_size=40)


def _requests(count: int = 60, seed: int = 1) -> list[TokenRequest]:
    """Requests with shared contexts, shared prefixes, and some equal requests."""
    generator = np.random.default_rng(seed)
    stems = [generator.integers(2, VOCABULARY, size=n) for n in (20, 30, 40)]
    requests = []
    for number in range(count):
        stem = stems[number % 3]
        own = generator.integers(2, VOCABULARY, size=(number // 12) % 3 * 4)
        continuation = generator.integers(2, VOCABULARY, size=1 + number % 4)
        requests.append(TokenRequest(np.concatenate([stem, own]), continuation))
    return [*requests, requests[0], TokenRequest(np.array([5]), np.array([7]))]


def _alone(model: Any, request: TokenRequest) -> tuple[float, bool]:
    """Log-likelihoods by definition, from the model's own forward pass."""
    context, continuation = torch.tensor(request.context), torch.tensor(request.continuation)
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            logits = model(input_ids=context[None], labels=continuation[None]).logits[0]
        else:
            logits = model(input_ids=torch.cat([context, continuation])[None]).logits[0]
            logits = logits[len(context) - 1 : -1]
    likelihoods = logits.log_softmax(-1).gather(1, continuation[:, None])
    return float(likelihoods.sum()), bool((logits.argmax(-1) == continuation).all())


@pytest.mark.parametrize("budget", [64, 4096])
@pytest.mark.parametrize("way", ["shared", "rows", "alike", "alone"])
@pytest.mark.parametrize("name", CONFIGS)
def test_pairs_together_equal_pairs_alone(name: str, way: ScoringWay, budget: int) -> None:
    model, requests = tiny_model(name).eval(), _requests()
    counted: list[int] = []
    scores = Scorer(model, budget).score(requests, way, counted.append)
    assert sum(counted) == len(requests)
    for request, (likelihood, greedy) in zip(requests, scores, strict=True):
        expected, expected_greedy = _alone(model, request)
        assert likelihood == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy


@pytest.mark.parametrize("name", ["t5", "gpt2", "llama"])
def test_a_model_over_several_devices_scores_the_same(name: str, tmp_path: Path) -> None:
    """Half of the weights are on disk; each part is loaded for its computation and dropped."""
    model, requests = tiny_model(name).eval(), _requests()
    expected = Scorer(model, 4096).score(requests)
    half = sum(p.numel() * p.element_size() for p in model.parameters()) // 2
    spread_over_devices(model, {"cpu": half, "disk": 10 * half}, str(tmp_path))
    places = {parameter.device.type for parameter in model.parameters()}
    assert places == {"cpu", "meta"}
    assert Scorer(model, 4096).score(requests) == expected


def test_greedy_continuations_are_found() -> None:
    model = tiny_model("gpt2").eval()
    context = np.arange(2, 20)
    with torch.no_grad():
        best = int(model(torch.tensor(context)[None]).logits[0, -1].argmax())
    requests = [TokenRequest(context, np.array([token])) for token in (best, (best + 1) % 90)]
    assert [greedy for _, greedy in Scorer(model, 512).score(requests)] == [
        True,
        False,
    ]


@pytest.mark.parametrize("name", [name for name in CONFIGS if not name.startswith("t5")])
def test_a_mask_that_leaks_by_one_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = scoring.ancestor_mask
    monkeypatch.setattr(scoring, "ancestor_mask", lambda ends: right(ends + 1))
    model, requests = tiny_model(name).eval(), _requests()
    scores = Scorer(model, 4096).score(requests)
    errors = [abs(s[0] - _alone(model, r)[0]) for s, r in zip(scores, requests, strict=True)]
    assert max(errors) > 1e-3


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=12))
def test_every_sequence_can_be_read_from_its_row(pairs: list[tuple[list[int], list[int]]]) -> None:
    requests = [TokenRequest(np.array(c), np.array(t)) for c, t in pairs]
    rows = build_rows(requests)
    assert sorted(n for row in rows for n in row.requests) == list(range(len(requests)))
    for row in rows:
        for number, nodes in zip(row.requests, row.nodes, strict=True):
            request = requests[number]
            sequence = np.concatenate([request.context, request.continuation[:-1]])
            last = int(nodes[-1])
            path = [k for k in range(last + 1) if last < row.ends[k]]
            assert row.tokens[path].tolist() == sequence.tolist()
            assert row.depths[path].tolist() == list(range(len(sequence)))
            assert nodes.tolist() == path[len(request.context) - 1 :]


def test_what_is_shared_stands_in_a_row_once() -> None:
    context = np.arange(300) % 90
    requests = [TokenRequest(context, np.array([choice, 1, 2])) for choice in range(10)]
    (row,) = build_rows(requests)
    assert len(row.tokens) == 300 + 10 * 2
    many = [TokenRequest(np.append(context, n), np.arange(50)) for n in range(90)]
    assert all(len(row.tokens) <= MAX_TOKENS for row in build_rows(many))


def test_limits_of_a_row_are_exact() -> None:
    def lengths(*contexts: np.ndarray) -> list[int]:
        rows = build_rows([TokenRequest(context, np.array([7])) for context in contexts])
        return [len(row.tokens) for row in rows]

    text = np.arange(1, 1001)
    for shared, expected in ((MIN_SHARED, [20 + 30 - 16]), (MIN_SHARED - 1, [30, 20])):
        branch = np.append(text[:shared], np.zeros(20 - shared, np.int64))
        assert lengths(branch, text[:30]) == expected
    for most, expected in ((MAX_TOKENS, [MAX_TOKENS]), (MAX_TOKENS + 1, [1000, 41])):
        branch = np.append(text[:16], np.zeros(most - 1000, np.int64))
        assert lengths(branch, text) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(16, 2048))
def test_batches_fit_their_budget_and_hold_little_padding(lengths: list[int], budget: int) -> None:
    batching = Batching(torch.device("cpu"), budget)
    found = [
        [*batch] for batch, _ in batching.computed(lengths, lengths, padded_size, lambda batch: 0)
    ]
    assert [length for batch in found for length in batch] == lengths
    for batch, after in itertools.zip_longest(found, found[1:]):
        padded = max(batch) * len(batch)
        assert padded <= budget or len(batch) == 1
        assert padded - sum(batch) <= budget // PADDING
        if after is not None:  # one more item exceeds a limit
            more = [*batch, after[0]]
            whole = max(more) * len(more)
            assert whole > budget or whole - sum(more) > budget // PADDING


def test_a_batch_that_does_not_fit_is_halved(caplog: pytest.LogCaptureFixture) -> None:
    sizes: list[int] = []

    def compute(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return [*batch]

    batching = Batching(torch.device("cpu"), 10_000)
    for _ in range(2):  # the second call begins with the smaller size
        found = list(batching.computed(range(7), [10] * 7, padded_size, compute))
        assert [item for batch, _ in found for item in batch] == list(range(7))
        assert [result for _, part in found for result in part] == list(range(7))
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1, *[1] * 7]
    assert caplog.messages == [
        f"out of memory; from now on with at most {tokens} tokens per batch" for tokens in (35, 15)
    ]

    def never(batch: Sequence[int]) -> list[int]:
        raise torch.OutOfMemoryError

    with pytest.raises(LaminiError, match="larger GPU"):
        list(batching.computed([1, 2], [1, 1], padded_size, never))


def test_a_gpus_batches_are_measured_once_for_similar_lengths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A measurement computes about the requested number of tokens with the items themselves."""
    measured: list[tuple[int, int]] = []

    def measure(compute: Any, device: torch.device, reserved: int) -> MicroBatchCosts:
        assert (device.type, reserved) == ("cuda", 0)
        measured.extend((tokens, compute(tokens)) for tokens in (100, 1600))
        return MicroBatchCosts(budget=64, overhead=32)

    monkeypatch.setattr(batches, "measure_costs", measure)
    computed: list[Sequence[int]] = []
    gpu = Batching(torch.device("cuda"), cpu=1)
    for lengths in ([30, 20, 20], [16], [40, 9], [31, 7]):
        for batch, _ in gpu.computed(lengths, lengths, padded_size, computed.append):
            assert len(batch) * max(batch) <= 64
    assert measured == [(100, 90), (1600, 1590), (100, 80), (1600, 1600)]
    assert computed[:2] == [[30, 20, 20], [30, 20, 20] * 17 + [30, 20]]
    given = Batching(torch.device("cuda"), cpu=1, tokens=1000)
    assert [batch for batch, _ in given.computed([9] * 4, [9] * 4, padded_size, len)] == [[9] * 4]
    assert len(measured) == 4


def test_too_little_memory_to_measure_gives_batches_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: Any, **__: Any) -> MicroBatchCosts:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(batches, "measure_costs", measure)
    gpu = Batching(torch.device("cuda"), cpu=100)
    found = [[*batch] for batch, _ in gpu.computed([9, 9, 8], [9, 9, 8], padded_size, len)]
    assert found == [[9], [9], [8]]


def test_results_are_read_after_the_next_batch_was_started() -> None:
    events: list[str] = []

    def started() -> Iterator[int]:
        for number in range(3):
            events.append(f"start {number}")
            yield number

    for number in batches.one_behind(started()):
        events.append(f"read {number}")
    assert events == ["start 0", "start 1", "read 0", "start 2", "read 1", "read 2"]
    assert list(batches.one_behind([])) == []


class Waits(TorchDispatchMode):
    """Operators of our code whose result the CPU must know: on a GPU, it waits for them.

    transformers itself may look for padding in a mask.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        if any(part in name for part in ("_local_scalar_dense", "nonzero", "masked_select")):
            files = [frame.filename for frame in traceback.extract_stack()]
            callers = [file for file in files if "/transformers/" in file or "/lamini/" in file]
            if not callers or "/lamini/" in callers[-1]:
                self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("way", ["shared", "rows", "alike"])
@pytest.mark.parametrize("name", ["gpt2", "gpt-neo", "llama", "t5"])
def test_starting_a_batch_waits_for_nothing(name: str, way: ScoringWay) -> None:
    scorer, requests = Scorer(tiny_model(name).eval(), 256), _requests()
    with torch.inference_mode(), Waits() as waits:
        parts = [part for _, part in scorer._batches(requests, way)]
    assert len(parts) > 1
    assert waits.found == []
    with Waits() as waits:
        bool(torch.ones(3).any())
    assert waits.found


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_the_models_own_forward_computes_equal_shapes_together(name: str) -> None:
    model, requests = tiny_model(name).eval(), _requests()
    shapes = {(len(r.context), len(r.continuation)) for r in requests}
    if name == "gpt2":  # context and continuation are one sequence
        shapes = {(context + continuation, 0) for context, continuation in shapes}
    rows: list[int] = []
    model.register_forward_pre_hook(
        lambda _, __, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    Scorer(model, 10_000).score(requests, "alike")
    assert len(rows) == len(shapes)
    assert sum(rows) == len(requests)
    rows.clear()
    Scorer(model, 10_000).score(requests, "alone")
    assert rows == [1] * len(requests)
