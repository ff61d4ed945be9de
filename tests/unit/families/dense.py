"""Tiny configurations of the decoder-only types whose layers are attention and one feed-forward.

A row's name is its `model_type` unless the row says another.
"""

from families.parts import (
    ALTERNATING,
    GEMMA2,
    GEMMA3,
    GRANITE,
    GROUPED,
    HEADS,
    LATENT,
    LAYERS,
    WINDOW,
    Fields,
)

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
    "model_type": "falcon",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
_GPT_NEO: Fields = {
    "model_type": "gpt_neo",
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "window_size": 8,
    "max_position_embeddings": 128,
}
_REFORMER: Fields = {
    "model_type": "reformer",
    "hidden_size": 32,
    "num_attention_heads": 4,
    "attention_head_size": 8,
    "feed_forward_size": 64,
    "is_decoder": True,
    "axial_pos_embds": False,
    "max_position_embeddings": 128,
    "local_attn_chunk_length": 8,
    "lsh_attn_chunk_length": 4,
    "num_buckets": 8,
    "hash_seed": 0,
}
_ROPE: Fields = {"rope_type": "default", "rope_theta": 10000.0}

DENSE: dict[str, Fields] = {
    "apertus": GROUPED,
    "arcee": GROUPED,
    "biogpt": LAYERS,
    "bitnet": GROUPED,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "blt": {
        "patching_threshold": 3.95,
        "encoder_hash_byte_group_vocab": 50,
        "patcher_config": GROUPED,
        "encoder_config": GROUPED | {"hidden_size_global": 32, "num_hidden_layers": 1},
        "decoder_config": GROUPED | {"hidden_size_global": 32},
        "global_config": GROUPED,
    },
    "codegen": _GPT | {"rotary_dim": 4, "n_ctx": 128},
    "cohere": GROUPED | {"logit_scale": 0.0625},
    "cohere-unscaled": GROUPED | {"model_type": "cohere", "logit_scale": 1.0},
    "cohere2": GROUPED | ALTERNATING,
    "cohere_compass_text": GROUPED
    | ALTERNATING
    | {"rope_parameters": {"sliding_attention": _ROPE, "full_attention": None}},
    "cpmant": {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "dim_head": 8,
        "dim_ff": 64,
        "num_hidden_layers": 2,
    },
    "ctrl": {"n_embd": 32, "n_layer": 2, "n_head": 4, "dff": 64, "n_positions": 128},
    "cwm": HEADS | ALTERNATING,
    "diffllama": GROUPED,
    "doge": GROUPED,
    "doge-masked": GROUPED | {"model_type": "doge", "keep_window_size": 16},
    "ernie4_5": HEADS,
    "exaone4": GROUPED | ALTERNATING,
    "falcon": _FALCON,
    "falcon-alibi": _FALCON | {"alibi": True},
    "falcon-40b": _FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "gemma": HEADS,
    "gemma2": GEMMA2,
    "gemma2-capped": GEMMA2 | {"model_type": "gemma2", "final_logit_softcapping": 1.0},
    "gemma3_text": GEMMA3,
    "glm": HEADS,
    "glm4": HEADS,
    "gpt2": _GPT,
    "gpt2-cerebras": _GPT | {"model_type": "gpt2", "activation_function": "gelu", "n_inner": 96},
    "gpt-sw3": _GPT,
    "gpt_bigcode": _GPT,
    "gpt_neo": _GPT_NEO | {"attention_types": [[["global", "local"], 1]]},
    "gpt_neo-global": _GPT_NEO | {"attention_types": [[["global"], 2]]},
    "gpt_neox": LAYERS,
    "gpt_neox_japanese": LAYERS,
    "gptj": _GPT | {"rotary_dim": 4},
    "granite": GROUPED | GRANITE,
    "granite_swa": GROUPED | GRANITE | ALTERNATING,
    "helium": HEADS,
    "hrm_text": LAYERS | {"H_cycles": 1, "L_cycles": 2, "num_layers_per_stack": 1},
    "hunyuan_v1_dense": HEADS,
    "hyperclovax": HEADS | GRANITE | {"logits_scaling": 0.125},
    "internlm3": HEADS,
    "iquestcoder": HEADS,
    "jais2": HEADS,
    "llama": GROUPED,
    "llama-dynamic_rope": GROUPED
    | {
        "model_type": "llama",
        "max_position_embeddings": 16,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
    },
    "minicpm3": LATENT | {"dim_model_base": 4},
    "ministral": HEADS | ALTERNATING,
    "ministral3": HEADS
    | {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 16.0,
            "original_max_position_embeddings": 8,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "llama_4_scaling_beta": 0.1,
        }
    },
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
    "phi3-long_rope": GROUPED
    | {
        "model_type": "phi3",
        "original_max_position_embeddings": 16,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0, 1.0, 1.0, 1.0],
            "long_factor": [1.0, 2.0, 4.0, 8.0],
        },
    },
    "qwen2": GROUPED,
    "qwen2-window": GROUPED
    | WINDOW
    | {"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": HEADS,
    "reformer": _REFORMER | {"attn_layers": ["local", "lsh"]},
    "reformer-local": _REFORMER | {"attn_layers": ["local", "local"]},
    "seed_oss": HEADS,
    "smollm3": GROUPED | {"no_rope_layer_interval": 2},
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
}
