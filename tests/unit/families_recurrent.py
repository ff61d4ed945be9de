"""Tiny configurations of the decoder-only model types that carry a state along the tokens.

State-space models, linear attention, short convolutions, and hybrids of these with attention. A
row's name is its `model_type` unless the row says another.
"""

from families_causal import GRANITE, GROUPED, HEADS, LATENT, LAYERS, Fields

_STATE: Fields = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
_MAMBA: Fields = {
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
_LINEAR: Fields = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_EXPERTS: Fields = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_SHARED: Fields = _EXPERTS | {"shared_expert_intermediate_size": 32}
_QWEN = HEADS | _LINEAR
_KIMI: Fields = LATENT | {
    "linear_head_dim": 8,
    "linear_num_heads": 4,
    "num_experts": 4,
    "num_experts_per_token": 2,
    "moe_intermediate_size": 32,
    "layer_types": _LINEAR["layer_types"],
    "mlp_layer_types": ["dense", "sparse"],
}

RECURRENT: dict[str, Fields] = {
    "bailing_hybrid": _KIMI | {"num_expert_group": 2, "topk_group": 1},
    "bamba": GROUPED | _MAMBA | {"attn_layer_indices": [1]},
    "falcon_h1": HEADS | _MAMBA | {"mamba_d_ssm": 64, "lm_head_multiplier": 0.04},
    "falcon_mamba": _STATE,
    "granitemoehybrid": GROUPED
    | GRANITE
    | _MAMBA
    | {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 32,
        "layer_types": _LINEAR["layer_types"],
    },
    "granitemoehybrid-attention": GROUPED
    | GRANITE
    | {
        "model_type": "granitemoehybrid",
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 64,
        "layer_types": ["full_attention"] * 2,
    },
    "jamba": GROUPED
    | {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
    },
    "kimi_linear": _KIMI,
    "lfm2": GROUPED | {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "lfm2_moe": GROUPED
    | {
        "layer_types": ["conv", "full_attention"],
        "num_dense_layers": 1,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
    },
    "lfm3": HEADS
    | {
        "layer_types": ["conv", "full_attention", "conv", "sliding_attention"],
        "num_hidden_layers": 4,
        "sliding_window": 16,
    },
    "mamba": _STATE,
    "mamba2": _STATE | {"head_dim": 8, "num_heads": 8, "n_groups": 1, "chunk_size": 16},
    "minimax": HEADS
    | {"layer_types": _LINEAR["layer_types"], "block_size": 16, "num_local_experts": 4},
    "nemotron_h": HEADS
    | {
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
        "ssm_state_size": 8,
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "n_groups": 1,
        "chunk_size": 16,
        "n_routed_experts": 4,
        "moe_intermediate_size": 32,
        "moe_shared_expert_intermediate_size": 32,
    },
    "olmo_hybrid": GROUPED | _LINEAR,
    "qwen3_5": {
        "text_config": _QWEN,
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 32,
        },
    },
    "qwen3_5_moe": {
        "text_config": _QWEN | _SHARED,
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 32,
        },
    },
    "qwen3_5_moe_text": _QWEN | _SHARED,
    "qwen3_5_text": _QWEN,
    "qwen3_next": _QWEN | _SHARED,
    "qwen4_exp_text": _QWEN | _SHARED,
    "recurrent_gemma": LAYERS
    | {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16},
    "rwkv": {
        "hidden_size": 32,
        "attention_hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "context_length": 128,
    },
    "xlstm": {"hidden_size": 32, "num_hidden_layers": 2, "num_heads": 4, "chunk_size": 16},
    "zamba": GROUPED
    | {
        "num_hidden_layers": 3,
        "layers_block_type": ["linear_attention", "linear_attention", "hybrid"],
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "n_mamba_heads": 2,
    },
    "zamba2": GROUPED
    | {
        "num_hidden_layers": 3,
        "layers_block_type": ["linear_attention", "linear_attention", "hybrid"],
        "mamba_d_state": 8,
        "n_mamba_heads": 8,
        "chunk_size": 16,
    },
    "zaya": HEADS | _EXPERTS | {"router_hidden_size": 16},
}
