"""The tiny models: every model type has one, and each behaves as its entry says."""

from typing import Any

import families
import pytest
import torch
from torch import Tensor
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

_GENERATOR = torch.Generator().manual_seed(5)
PROMPT, OTHER = torch.randint(2, families.VOCABULARY, (2, 20), generator=_GENERATOR)
RESPONSE = torch.randint(2, families.VOCABULARY, (13,), generator=_GENERATOR)
"""With the prompt, less the last token, 32: Reformer trains on multiples of 8 alone."""


def replaced(ids: Tensor, *places: int) -> Tensor:
    """The tokens, with other (not special) tokens at the given positions."""
    ids = ids.clone()
    ids[list(places)] = (ids[list(places)] + 40) % (families.VOCABULARY - 2) + 2
    return ids


def moved(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def types(architecture: str) -> set[str]:
    rows = families.FAMILIES.items()
    return {row["model_type"] for name, row in rows if families.architecture(name) == architecture}


def test_every_model_type_has_a_row_or_a_reason():
    causal, seq2seq = types("decoder-only"), types("encoder-decoder")
    left_out = set(families.NOT_BUILT)
    assert not left_out & (causal | seq2seq)
    assert causal | (left_out & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)) == set(
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    )
    # The second mapping names it too, but it has no decoder of its own.
    both = {"moss_transcribe_diarize"}
    assert seq2seq | both | (left_out & set(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)) == set(
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    )
    named = families.NOT_CAUSAL | families.RANDOM_IN_TRAINING
    assert named | families.STARTS_WITH_LAST <= set(families.FAMILIES)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_model_behaves_as_its_data_say(name):
    model = families.build(name)

    def losses(prompt: Tensor, response: Tensor) -> Any:
        with torch.no_grad():
            return families.own_losses(model, name, prompt, response)

    in_training = losses(PROMPT, RESPONSE)
    model.eval()
    own = losses(PROMPT, RESPONSE)
    assert own.dtype == torch.float32
    assert own.shape == RESPONSE.shape
    assert torch.isfinite(own).all()
    assert torch.equal(own, losses(PROMPT, RESPONSE))
    assert (moved(own, in_training) > 1e-5) == (name in families.RANDOM_IN_TRAINING)

    assert moved(own, losses(OTHER, RESPONSE)) > 0.01
    swapped = PROMPT[[0, 1, 2, 3, 11, 5, 6, 7, 8, 9, 10, 4, *range(12, 20)]]
    assert moved(own, losses(swapped, RESPONSE)) > 1e-3

    later = losses(PROMPT, replaced(RESPONSE, 7, 8, 9, 10))
    assert (moved(own[:7], later[:7]) > 1e-5) == (name in families.NOT_CAUSAL)
    last = losses(PROMPT, replaced(RESPONSE, 12))  # fed to no model but these
    assert (moved(own[:12], last[:12]) > 1e-5) == (name in families.STARTS_WITH_LAST)


@pytest.mark.parametrize("name", ["gpt2", "t5", "bart", "mbart", "gemma3"])
def test_own_losses_are_those_of_the_model(name):
    model = families.build(name).eval()
    if families.architecture(name) == "encoder-decoder":
        inputs, labels = PROMPT, RESPONSE
    else:
        inputs, labels = torch.cat([PROMPT, RESPONSE]), torch.cat([PROMPT * 0 - 100, RESPONSE])
    with torch.no_grad():
        expected = model(input_ids=inputs[None], labels=labels[None]).loss
        own = families.own_losses(model, name, PROMPT, RESPONSE).mean()
    assert float(own) == pytest.approx(float(expected), abs=1e-5)


def test_final_soft_cap_acts():
    model = families.build("gemma2-capped").eval()
    with torch.no_grad():
        largest = float(model(input_ids=PROMPT[None]).logits.abs().max())
    assert 0.9 < largest <= 1.0


def test_seed_decides_the_weights():
    one, same, other = (families.build("llama", seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
