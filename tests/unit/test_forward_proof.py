"""A computation method that is wrong for a model is detected in every precision."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import CONFIGS, VOCABULARY, tiny_model

from lamini.errors import LaminiError
from lamini.evaluation.proven_scorer import ProvenScorer, sample_to_prove
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import Scorer
from lamini.forward.own import log_likelihoods, own_logits, position_limits, start_token
from lamini.forward.proof import Reference, _scale
from lamini.forward.states import head_logits, last_states

GENERATOR = np.random.default_rng(5)
PAIRS = [
    (GENERATOR.integers(2, VOCABULARY, size=context), GENERATOR.integers(2, VOCABULARY, size=count))
    for context, count in ((3, 2), (20, 9), (30, 12), (50, 30))
]
BF16, FP16 = torch.bfloat16, torch.float16


def _values(model: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
    """The model's own log-likelihoods with its logits changed."""
    return [
        log_likelihoods(change(own_logits(model, *pair)), torch.tensor(pair[1])) for pair in PAIRS
    ]


def _same(logits: torch.Tensor) -> torch.Tensor:
    return logits


@pytest.mark.parametrize("name", ["gpt2", "t5"])
@pytest.mark.parametrize("precision", [torch.float32, BF16, FP16])
def test_the_first_right_way_is_taken(
    name: str, precision: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model(name).to(precision)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    ways = {
        "scaled": lambda: _values(model, lambda logits: logits * 1.001),
        "failing": lambda: _raise(KeyError("positions")),
        "right": lambda: _values(model, _same),
        "unneeded": lambda: _raise(AssertionError),
    }
    with caplog.at_level(logging.WARNING):
        choice = Reference("small", model, PAIRS).choose(ways)
    assert choice.way == "right"
    assert (choice.pairs, choice.longest, choice.difference) == (4, 80, 0.0)
    assert set(choice.refused) == {"scaled", "failing"}
    assert choice.refused["failing"] == "fails (KeyError: 'positions')"
    assert "nats a token in fp32" in choice.refused["scaled"]
    assert choice.fields() == {"way": "right", "refused_ways": choice.refused}
    assert "small" in caplog.text and model.config.model_type in caplog.text
    # Number format, weights and mode of the model are unchanged.
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert {p.dtype for p in model.parameters()} == {precision}
    assert model.training


def _raise(error: Any) -> Any:
    raise error


@pytest.mark.parametrize("precision", [BF16, FP16])
def test_errors_only_in_the_short_format_are_found(precision: torch.dtype) -> None:
    """For example a kernel that fails on the device; in fp32 the method is correct."""
    model = tiny_model("gpt2").to(precision)

    def way(factor: float) -> Callable[[], list[torch.Tensor]]:
        def compute() -> list[torch.Tensor]:
            exact = next(model.parameters()).dtype == torch.float32
            return _values(model, _same if exact else lambda logits: logits * factor)

        return compute

    nan = float("nan")
    choice = Reference("small", model, PAIRS).choose(
        {"nan": way(nan), "wrong": way(1.1), "right": way(1.0)}
    )
    assert choice.way == "right"
    assert "errs by nan" in choice.refused["nan"]
    assert "rounding" in choice.refused["wrong"]


def test_no_way_but_the_last_without_memory_for_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gpt2").to(BF16)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.to("meta"))
    monkeypatch.setattr(Reference, "_own", lambda *_: torch.zeros(2, VOCABULARY))
    pair = [(np.array([1, 2]), np.array([3, 4]))]
    ways = dict.fromkeys(("shared", "alone"), lambda: _raise(AssertionError))
    choice = Reference("large", model, pair).choose(ways)
    assert choice.way == "alone"
    assert choice.refused == {"shared": "can't be proven: no memory holds the model in fp32"}


def test_a_model_without_any_right_way_is_refused() -> None:
    model = tiny_model("gpt2")
    ways = {
        "rows": lambda: _values(model, lambda logits: logits * 2),
        "alone": lambda: _raise(ValueError("a length of 64")),
    }
    with pytest.raises(LaminiError, match=r"small: a gpt2 can't be computed.*`rows`.*`alone`.*64"):
        Reference("small", model, PAIRS).choose(ways)


def test_a_model_that_sees_later_tokens_is_refused() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        "bert", **fields, vocab_size=VOCABULARY, intermediate_size=64, is_decoder=False
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    with pytest.raises(LaminiError, match="small: a bert gives a token another probability"):
        Reference("small", model, PAIRS)


def test_a_model_with_weights_that_are_no_numbers_is_refused() -> None:
    model = tiny_model("gpt2")
    model.lm_head.weight.data[5] = float("nan")
    with pytest.raises(LaminiError, match=r"small.*not finite"):
        Reference("small", model, PAIRS)


def test_too_few_positions_are_reported() -> None:
    model = tiny_model("gpt2")
    long = [*PAIRS, (np.full(140, 3), np.array([4]))]
    with pytest.raises(LaminiError, match=r"sequence of 140 and 1 tokens \(IndexError"):
        Reference("small", model, long)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_forward_in_two_halves_is_the_forward(name: str) -> None:
    model = tiny_model(name).eval()
    ids = torch.tensor(PAIRS[2][0])[None]
    inputs = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.tensor(PAIRS[1][0])[None]
    states = last_states(model, **inputs, use_cache=False)
    expected = model(**inputs).logits[0]
    torch.testing.assert_close(head_logits(model, states[0]), expected, rtol=0, atol=1e-5)
    chosen = head_logits(model, states[0, [7, 2]])
    torch.testing.assert_close(chosen, expected[[7, 2]], rtol=0, atol=1e-5)
    # Nothing stays behind.
    torch.testing.assert_close(model(**inputs).logits[0], expected, rtol=0, atol=0)
    assert not any("forward" in vars(module) for module in model.modules())


def test_start_tokens_and_positions_are_the_models_own() -> None:
    assert start_token(tiny_model("t5")) == 0
    assert start_token(tiny_model("bart")) == 0
    assert position_limits(tiny_model("t5")) == (None, None)
    assert position_limits(tiny_model("bart")) == (128, 128)
    assert position_limits(tiny_model("gpt2")) == (None, 128)


# --- Evaluation -----------------------------------------------------------------------------------


def _requests(sizes: Sequence[int], choices: int = 4, seed: int = 3) -> list[TokenRequest]:
    """Several choices for contexts of given lengths, which share 20 tokens."""
    generator = np.random.default_rng(seed)
    head = generator.integers(2, VOCABULARY, size=20)
    requests = []
    for size in sizes:
        context = np.append(head, generator.integers(2, VOCABULARY, size=size - 20))
        for count in range(1, choices + 1):
            requests.append(TokenRequest(context, generator.integers(2, VOCABULARY, size=count)))
    return requests


def _without_positions(model: Any) -> Any:
    """A model that uses the index in the row as position, as families without position ids do."""
    forward = model.forward
    model.forward = lambda **inputs: forward(
        **{k: v for k, v in inputs.items() if k != "position_ids"}
    )
    return model


@pytest.mark.parametrize("precision", [torch.float32, BF16])
def test_places_taken_for_positions_are_found_in_every_precision(precision: torch.dtype) -> None:
    requests = _requests([60, 80, 100])
    model = tiny_model("llama").eval().to(precision)
    right = ProvenScorer("small", model, 4096)
    assert right.choice is None
    right.score(requests)
    assert right.choice is not None and right.choice.way == "shared"
    expected = Scorer(model, 4096).score(requests, "alone")
    wrong = ProvenScorer("small", _without_positions(model), 4096)
    scores = wrong.score(requests)
    assert wrong.choice is not None and wrong.choice.way == "rows"
    noise = 1e-4 if precision == torch.float32 else 0.5
    for score, one in zip(scores, expected, strict=True):
        assert score[0] == pytest.approx(one[0], abs=noise)


def test_a_window_is_proven_again_for_longer_requests() -> None:
    """A window as long as the requests permits sharing; the next task's requests are longer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    fields = {key: value for key, value in CONFIGS["llama"].items() if key != "model_type"}
    config = AutoConfig.for_model(
        "mistral", **fields, sliding_window=64, vocab_size=VOCABULARY, max_position_embeddings=512
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    scorer = ProvenScorer("small", model, 4096)
    ways = []
    for sizes in ([30, 40, 50], [30, 100, 200], [30, 40, 50]):
        requests = _requests(sizes)
        scores = scorer.score(requests)
        for score, one in zip(scores, Scorer(model, 64).score(requests, "alone"), strict=True):
            assert score[0] == pytest.approx(one[0], abs=1e-4)
        assert scorer.choice is not None
        ways.append(scorer.choice.way)
    assert ways == ["shared", "rows", "shared"]


def test_the_sample_holds_the_extremes_and_the_widest_row() -> None:
    requests = [*_requests([60, 90, 120, 150]), TokenRequest(np.array([3]), np.array([4]))]

    def lengths(causal: bool, most: int) -> list[int]:
        sample = sample_to_prove(requests, causal, most)
        return [len(r.context) + len(r.continuation) for r in sample]

    # The only trie has the four contexts, sorted by their tokens after the common 20.
    # The last one has the lengths of the shortest.
    assert lengths(causal=True, most=0) == [154, 2, 61, 93, 2]
    assert lengths(causal=True, most=190) == [154, 2, 61, 93, 63, 62, 2]
    # All groups have choices of 1 to 4 tokens; the first is taken.
    assert lengths(causal=False, most=190) == [154, 2, 61, 64, 62, 63, 2]


def test_one_request_is_enough() -> None:
    model = tiny_model("t5").eval()
    scorer = ProvenScorer("small", model, 512)
    request = [TokenRequest(np.array([5]), np.array([7]))]
    expected = Scorer(model, 512).score(request, "alone")[0][0]
    assert scorer.score(request)[0][0] == pytest.approx(expected, abs=1e-5)


def test_the_scale_of_rounding_is_the_largest_logit_or_normalizer() -> None:
    """A likelihood is logit less normalizer: small normalizers may hide a large logit."""
    logits = torch.tensor([[-50.0, -50.0], [0.25, 0.5]])
    normalizers = logits.logsumexp(dim=-1)
    assert _scale(logits, logits[:, 0] - normalizers) == pytest.approx(50.0)
    assert _scale(logits[1:], logits[1:, 0] - normalizers[1:]) == pytest.approx(1.0759, abs=1e-4)
    assert _scale(logits[1:] / 9 - 0.7, logits[1:, 0] * 0) == 1.0
    large = torch.tensor([[3.0, 3.0]])
    assert _scale(large, torch.tensor([9.0])) == pytest.approx(12 + 0.6931, abs=1e-4)
