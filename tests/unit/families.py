"""Tiny random models, one for every text model type of transformers that can be built here."""

import inspect
from typing import Any

import torch
from families_causal import DENSE
from families_experts import EXPERTS
from families_recurrent import RECURRENT
from families_seq2seq import SEQ2SEQ
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PretrainedConfig

from lamini.students.pretrained import separate_head

VOCABULARY = 97

FAMILIES: dict[str, dict[str, Any]] = {
    name: {"model_type": name} | fields
    for name, fields in {**DENSE, **EXPERTS, **RECURRENT, **SEQ2SEQ}.items()
}
"""Name to the fields of its configuration, always with `model_type`."""

NOT_CAUSAL = {"bert-bidirectional"}
"""Families whose earlier tokens see later ones."""

_SPECIAL = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
_LANGUAGE_PARTS = ("text_config", "encoder", "decoder")
_POSITION_NAMES = ("wpe", "position", "pos_emb", "relative_attention_bias")


def architecture(name: str) -> str:
    """`encoder-decoder` or `decoder-only`."""
    return "encoder-decoder" if name in SEQ2SEQ else "decoder-only"


def build(name: str, seed: int = 0) -> Any:
    """The family's tiny model in fp32, without dropout, every weight large enough to matter."""
    torch.manual_seed(seed)
    fields = _with_special_tokens(FAMILIES[name])
    if architecture(name) == "encoder-decoder":
        fields = {"decoder_start_token_id": 0} | fields
    config = AutoConfig.for_model(**fields)
    _without_dropout(config)
    maker = AutoModelForCausalLM if architecture(name) == "decoder-only" else AutoModelForSeq2SeqLM
    model = maker.from_config(config, dtype=torch.float32)
    if fields.get("tie_word_embeddings") is False and architecture(name) == "encoder-decoder":
        separate_head(model)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            scale = 0.3 if any(part in key for part in _POSITION_NAMES) else 0.05
            parameter.add_(torch.randn_like(parameter) * scale)
    return model


def own_losses(model: Any, name: str, prompt: Tensor, response: Tensor) -> Tensor:
    """Cross-entropy of each response token by the model's own forward of this pair alone.

    Args:
        model: of the family.
        name: of the family.
        prompt: token ids, shape [prompt tokens].
        response: token ids, shape [response tokens].

    Returns:
        Natural-log losses, shape [response tokens].
    """
    if architecture(name) == "encoder-decoder":
        logits = model(input_ids=prompt[None], labels=response[None]).logits[0]
    else:
        accepted = inspect.signature(model.forward).parameters
        options = {"use_cache": False} if "use_cache" in accepted else {}
        ids = torch.cat([prompt, response])
        logits = model(input_ids=ids[None], **options).logits[0, len(prompt) - 1 : -1]
    return cross_entropy(logits, response, reduction="none")


def _with_special_tokens(fields: dict[str, Any]) -> dict[str, Any]:
    parts = {key: _with_special_tokens(fields[key]) for key in _LANGUAGE_PARTS if key in fields}
    return {**_SPECIAL, **fields, **parts}


def _without_dropout(config: PretrainedConfig) -> None:
    for key, value in vars(config).items():
        if isinstance(value, PretrainedConfig):
            _without_dropout(value)
        elif ("drop" in key or "jitter" in key) and isinstance(value, float):
            setattr(config, key, 0.0)
