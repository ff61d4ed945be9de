"""Tiny configurations of every decoder-only model type whose layers are plain attention.

A row's name is its `model_type` unless the row says another. Mixtures of experts, state-space and
other recurrent types stand in files of their own.
"""

from typing import Any

Fields = dict[str, Any]

LAYERS: Fields = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
GROUPED = LAYERS | {"num_key_value_heads": 2}
HEADS = GROUPED | {"head_dim": 8}
WINDOW: Fields = {"sliding_window": 16}
ALTERNATING: Fields = WINDOW | {"layer_types": ["sliding_attention", "full_attention"]}
LATENT: Fields = LAYERS | {
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
"""Multi-head latent attention, as DeepSeek has it."""

_GPT: Fields = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_OPT: Fields = {
    "hidden_size": 32,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "word_embed_proj_dim": 32,
    "max_position_embeddings": 128,
}
_FALCON: Fields = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
_NEO: Fields = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "window_size": 8,
    "max_position_embeddings": 128,
}
GEMMA2: Fields = HEADS | ALTERNATING | {"query_pre_attn_scalar": 8}
_SIX_LAYERS: Fields = {
    "num_hidden_layers": 6,
    "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
}
GEMMA3: Fields = HEADS | WINDOW | _SIX_LAYERS | {"query_pre_attn_scalar": 8}
GRANITE: Fields = {
    "logits_scaling": 8.0,
    "embedding_multiplier": 12.0,
    "residual_multiplier": 0.22,
    "attention_multiplier": 0.35,
}
VISION: Fields = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
DECODER: Fields = {
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "max_position_embeddings": 128,
}
_BERT: Fields = LAYERS | {"is_decoder": True}

DENSE: dict[str, Fields] = {
    "apertus": GROUPED,
    "arcee": GROUPED,
    "biogpt": LAYERS,
    "bitnet": GROUPED,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "codegen": _GPT | {"rotary_dim": 4, "n_ctx": 128},
    "cohere": GROUPED,
    "cohere-plain": GROUPED | {"model_type": "cohere", "logit_scale": 1.0},
    "cohere2": GROUPED | ALTERNATING,
    "ctrl": {"n_embd": 32, "n_layer": 2, "n_head": 4, "dff": 64, "n_positions": 128},
    "cwm": HEADS | ALTERNATING,
    "diffllama": GROUPED,
    "doge": GROUPED,
    "emu3": {"text_config": GROUPED},
    "ernie4_5": HEADS,
    "exaone4": GROUPED | ALTERNATING,
    "falcon": _FALCON,
    "falcon-alibi": _FALCON | {"model_type": "falcon", "alibi": True},
    "falcon-40b": _FALCON
    | {"model_type": "falcon", "new_decoder_architecture": True, "num_kv_heads": 2},
    "gemma": HEADS,
    "gemma2": GEMMA2,
    "gemma2-capped": GEMMA2 | {"model_type": "gemma2", "final_logit_softcapping": 2.0},
    "gemma3": {"text_config": GEMMA3, "vision_config": VISION, "mm_tokens_per_image": 4},
    "gemma3_text": GEMMA3,
    "glm": HEADS,
    "glm4": HEADS,
    "gpt2": _GPT,
    "cerebras-gpt": _GPT | {"model_type": "gpt2", "activation_function": "gelu", "n_inner": 96},
    "gpt-sw3": _GPT,
    "gpt_bigcode": _GPT,
    "gpt_neo": _NEO | {"attention_types": [[["global", "local"], 1]]},
    "gpt_neo-global": _NEO | {"model_type": "gpt_neo", "attention_types": [[["global"], 2]]},
    "gpt_neox": LAYERS,
    "gpt_neox_japanese": LAYERS,
    "gptj": _GPT | {"rotary_dim": 4},
    "granite": GROUPED | GRANITE,
    "granite_swa": GROUPED | GRANITE | ALTERNATING,
    "helium": HEADS,
    "hunyuan_v1_dense": HEADS,
    "hyperclovax": HEADS | GRANITE,
    "internlm3": HEADS,
    "iquestcoder": HEADS,
    "jais2": HEADS,
    "llama": GROUPED,
    "minicpm3": LATENT,
    "ministral": HEADS | ALTERNATING,
    "ministral3": HEADS,
    "mistral": HEADS | WINDOW,
    "mistral-wide": HEADS | {"model_type": "mistral", "sliding_window": 4096},
    "modernbert-decoder": LAYERS
    | {
        "local_attention": 32,
        "layer_types": ALTERNATING["layer_types"],
        "cls_token_id": 1,
        "sep_token_id": 1,
    },
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
    "nanochat": GROUPED,
    "nemotron": HEADS,
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "olmo3": GROUPED | ALTERNATING,
    "openai-gpt": _GPT,
    "opt": _OPT,
    "opt-350m": _OPT
    | {"model_type": "opt", "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    "persimmon": LAYERS,
    "phi": GROUPED,
    "phi3": GROUPED,
    "qwen2": GROUPED,
    "qwen3": HEADS,
    "seed_oss": HEADS,
    "smollm3": GROUPED,
    "stablelm": GROUPED,
    "starcoder2": GROUPED,
    "vaultgemma": GEMMA2,
    "xglm": {
        "d_model": 32,
        "ffn_dim": 64,
        "num_layers": 2,
        "attention_heads": 4,
        "max_position_embeddings": 128,
    },
    "youtu": LATENT,
    # Decoders taken out of encoder-decoder types
    "bart-decoder": DECODER | {"model_type": "bart"},
    "bigbird_pegasus-decoder": DECODER | {"model_type": "bigbird_pegasus"},
    "blenderbot-decoder": DECODER | {"model_type": "blenderbot"},
    "blenderbot-small-decoder": DECODER | {"model_type": "blenderbot-small"},
    "marian-decoder": DECODER | {"model_type": "marian", "decoder_vocab_size": 97},
    "mbart-decoder": DECODER | {"model_type": "mbart"},
    "mvp-decoder": DECODER | {"model_type": "mvp"},
    "pegasus-decoder": DECODER | {"model_type": "pegasus"},
    "plbart-decoder": DECODER | {"model_type": "plbart"},
    "trocr": DECODER,
    "whisper": DECODER | {"max_target_positions": 128, "max_source_positions": 16},
    # BERT's relatives as decoders
    "bert": _BERT,
    "bert-bidirectional": LAYERS | {"model_type": "bert"},
    "roberta": _BERT | {"max_position_embeddings": 130},
}
