"""Tiny random models, one for every text model type of transformers that can be built here.

Each row of the tables is data: a name, and the fields of a configuration. Variants of one type
stand beside it where what differs could go wrong on its own (`mistral`, `mistral-wide`).
"""

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PretrainedConfig

from families.dense import DENSE
from families.encoder_decoder import SEQ2SEQ
from families.experts import MIXTURES
from families.halves import HALVES
from families.nested import NESTED
from families.parts import Fields
from families.recurrent import RECURRENT
from lamini.students.pretrained import separate_head

VOCABULARY = 97

CAUSAL: dict[str, Fields] = {**DENSE, **MIXTURES, **RECURRENT, **HALVES, **NESTED}

FAMILIES: dict[str, Fields] = {
    name: {"model_type": name} | fields for name, fields in {**CAUSAL, **SEQ2SEQ}.items()
}
"""Name to the fields of its configuration, always with `model_type`."""

NOT_CAUSAL = frozenset(
    {
        "bert-bidirectional",
        "big_bird-sparse",
        "cpmant",
        "reformer",
        "roberta-bidirectional",
        "xlm-bidirectional",
        "xlnet-bidirectional",
    }
)
"""Families whose earlier tokens see later ones."""

RANDOM_IN_TRAINING = frozenset({"big_bird-sparse", "bigbird_pegasus-sparse"})
"""Families that draw their blocks of attention at random in training mode."""

STARTS_WITH_LAST = frozenset({"mbart", "plbart"})
"""Families whose own forward starts the decoder with the response's last token (a language)."""

NEEDS_DECODER_INPUT = frozenset({"fsmt"})
"""Families whose own forward makes no decoder input of the labels."""

_SPEECH = "reads speech, and its text model is decoder-only in spite of the mapping"
_DRAFTER = "drafts for another model, whose states it reads"
_SOUND = "writes codes of sound, not text"
NOT_BUILT: dict[str, str] = {
    "gemma3n": "needs the package timm",
    "gemma4_assistant": _DRAFTER,
    "gemma4_unified_assistant": _DRAFTER,
    "musicgen": _SOUND,
    "musicgen_melody": _SOUND,
    "audioflamingo3": _SPEECH,
    "glmasr": _SPEECH,
    "granite_speech": _SPEECH,
    "granite_speech_plus": _SPEECH,
    "musicflamingo": _SPEECH,
    "nemo_speechlm": _SPEECH,
    "qwen2_audio": _SPEECH,
    "qwen3_asr": _SPEECH,
    "vibevoice_asr": _SPEECH,
    "voxtral": _SPEECH,
    "voxtral_realtime": _SPEECH,
}
"""Model types of the two mappings that no row has, and why."""

_SPECIAL: Fields = {
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 1,
}
_LANGUAGE_PARTS = (
    "text_config",
    "encoder",
    "decoder",
    "patcher_config",
    "encoder_config",
    "decoder_config",
)
_POSITION_TABLES = ("wpe", "position", "pos_emb", "relative_attention_bias")


def architecture(name: str) -> str:
    """`encoder-decoder` or `decoder-only`."""
    return "encoder-decoder" if name in SEQ2SEQ else "decoder-only"


def build(name: str, seed: int = 0) -> Any:
    """The family's tiny model in fp32, without dropout, with weights of noticeable size.

    Learned tables of positions get the largest weights, so that a wrong position shows.
    """
    torch.manual_seed(seed)
    fields = _with_special_tokens(FAMILIES[name])
    config = AutoConfig.for_model(**fields)
    _remove_randomness(config)
    maker = AutoModelForCausalLM if architecture(name) == "decoder-only" else AutoModelForSeq2SeqLM
    model = maker.from_config(config, dtype=torch.float32)
    if fields.get("tie_word_embeddings") is False:
        separate_head(model)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            scale = 0.5 if any(part in key for part in _POSITION_TABLES) else 0.15
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
        given = {"labels": response[None]}
        if name in NEEDS_DECODER_INPUT:
            start = torch.tensor([model.config.decoder_start_token_id])
            given["decoder_input_ids"] = torch.cat([start, response[:-1]])[None]
        logits = model(input_ids=prompt[None], **given).logits[0]
    else:
        accepted = inspect.signature(model.forward).parameters
        options = {"use_cache": False} if "use_cache" in accepted else {}
        ids = torch.cat([prompt, response[:-1]])  # the last token is predicted, never fed
        logits = model(input_ids=ids[None], **options).logits[0, len(prompt) - 1 :]
    return cross_entropy(logits, response, reduction="none")


def _with_special_tokens(fields: Fields) -> Fields:
    parts = {key: _with_special_tokens(fields[key]) for key in _LANGUAGE_PARTS if key in fields}
    return {**_SPECIAL, **fields, **parts}


def _remove_randomness(config: PretrainedConfig) -> None:
    """Set dropout, layer dropout and the jitter of routers to 0, in nested configurations too."""
    for key, value in vars(config).items():
        if isinstance(value, PretrainedConfig):
            _remove_randomness(value)
        elif ("drop" in key or "jitter" in key) and isinstance(value, float):
            setattr(config, key, 0.0)
