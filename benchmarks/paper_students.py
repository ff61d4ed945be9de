"""Model configurations of the fifteen students, for benchmarks that build them without a hub.

From the `config.json` of each initialization on the hub. A test compares their numbers of
parameters with config/models.yaml.
"""

from typing import Any


def _gpt2(width: int, layers: int, heads: int, **others: Any) -> dict[str, Any]:
    sizes = {"n_embd": width, "n_layer": layers, "n_head": heads}
    return {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, **sizes, **others}


def _cerebras(width: int, layers: int, heads: int) -> dict[str, Any]:
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    others = {"n_positions": 2048, "n_inner": 4 * width, "activation_function": "gelu"}
    return _gpt2(width, layers, heads, **others, **dropouts)


def _gpt_neo(width: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "gpt_neo",
        "vocab_size": 50257,
        "hidden_size": width,
        "num_layers": layers,
        "num_heads": heads,
        "attention_types": [[["global", "local"], layers // 2]],
        "max_position_embeddings": 2048,
        "window_size": 256,
    }


def _t5(width: int, inner: int, layers: int, heads: int, **others: Any) -> dict[str, Any]:
    sizes = {"d_model": width, "d_ff": inner, "num_layers": layers, "num_heads": heads, "d_kv": 64}
    start = {"decoder_start_token_id": 0}
    return {"model_type": "t5", "vocab_size": 32128, **sizes, **start, **others}


def _flan_t5(width: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    others = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    return _t5(width, inner, layers, heads, **others)


CONFIGS: dict[str, dict[str, Any]] = {
    "lamini-t5-61m": _t5(512, 2048, 6, 8),
    "lamini-t5-223m": _t5(768, 3072, 12, 12),
    "lamini-t5-738m": _t5(1024, 4096, 24, 16),
    "lamini-flan-t5-77m": _flan_t5(512, 1024, 8, 6),
    "lamini-flan-t5-248m": _flan_t5(768, 2048, 12, 12),
    "lamini-flan-t5-783m": _flan_t5(1024, 2816, 24, 16),
    "lamini-neo-125m": _gpt_neo(768, 12, 12),
    "lamini-neo-1.3b": _gpt_neo(2048, 24, 16),
    "lamini-cerebras-111m": _cerebras(768, 10, 12),
    "lamini-cerebras-256m": _cerebras(1088, 14, 17),
    "lamini-cerebras-590m": _cerebras(1536, 18, 12),
    "lamini-cerebras-1.3b": _cerebras(2048, 24, 16),
    "lamini-gpt-124m": _gpt2(768, 12, 12),
    "lamini-gpt-774m": _gpt2(1280, 36, 20),
    "lamini-gpt-1.5b": _gpt2(1600, 48, 25),
}
"""Fields of each student's Hugging Face configuration, by the student's name."""
