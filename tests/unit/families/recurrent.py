"""Tiny configurations of the decoder-only types with a recurrent state.

State-space models, linear attention, short convolutions, and hybrids of these with attention. A
row's name is its `model_type` unless the row says another.
"""

from families.parts import (
    EXPERTS,
    GATED_DELTA,
    GRANITE,
    GROUPED,
    HEADS,
    LATENT,
    LAYERS,
    LOCAL_EXPERTS,
    MIXTURE,
    WINDOW,
    Fields,
)

_STATE: Fields = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
_MAMBA2: Fields = {
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
_LINEAR_FIRST: Fields = {"layer_types": ["linear_attention", "full_attention"]}
_CONVOLUTION_FIRST: Fields = {"layer_types": ["conv", "full_attention"]}
_GRANITE_HYBRID: Fields = (
    GROUPED | GRANITE | _MAMBA2 | {"model_type": "granitemoehybrid", "shared_intermediate_size": 32}
)
_KIMI: Fields = (
    LATENT
    | _LINEAR_FIRST
    | {
        "linear_head_dim": 8,
        "linear_num_heads": 4,
        "num_experts": 4,
        "num_experts_per_token": 2,
        "moe_intermediate_size": 32,
        "mlp_layer_types": ["dense", "sparse"],
    }
)
_ZAMBA: Fields = GROUPED | {
    "num_hidden_layers": 4,
    "layers_block_type": ["linear_attention", "hybrid"] * 2,
    "mamba_d_state": 8,
}
QWEN_DENSE: Fields = HEADS | GATED_DELTA
QWEN_MIXTURE: Fields = QWEN_DENSE | MIXTURE | {"shared_expert_intermediate_size": 32}
QWEN4: Fields = QWEN_MIXTURE | {
    "num_hidden_layers": 4,
    "layer_types": ["linear_attention", "indexed_attention"] * 2,
    "hc_count": 2,
    "hc_lowrank": 8,
    "ple_layer_ids": [1],
    "heads_per_ngram": 2,
    "ngram_vocab_size_base": 50,
    "split_ngram_parts": 1,
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 8,
    "indexer_compress_ratio": 2,
}

RECURRENT: dict[str, Fields] = {
    "bailing_hybrid": _KIMI | {"num_expert_group": 2, "topk_group": 1},
    "bamba": GROUPED | _MAMBA2 | {"attn_layer_indices": [1]},
    "falcon_h1": HEADS | _MAMBA2 | {"mamba_d_ssm": 64, "lm_head_multiplier": 0.04},
    "falcon_mamba": _STATE,
    "granitemoehybrid": _GRANITE_HYBRID | LOCAL_EXPERTS | _LINEAR_FIRST,
    "granitemoehybrid-attention": _GRANITE_HYBRID
    | {"num_local_experts": 0, "num_experts_per_tok": 0, "layer_types": ["full_attention"] * 2},
    "jamba": GROUPED
    | EXPERTS
    | {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
    },
    "kimi_linear": _KIMI,
    "lfm2": GROUPED | _CONVOLUTION_FIRST | {"block_multiple_of": 8},
    "lfm2_moe": GROUPED | _CONVOLUTION_FIRST | MIXTURE | {"num_dense_layers": 1},
    "lfm3": HEADS
    | WINDOW
    | {
        "num_hidden_layers": 4,
        "layer_types": ["conv", "full_attention", "conv", "sliding_attention"],
    },
    "mamba": _STATE,
    "mamba2": _STATE | {"head_dim": 8, "num_heads": 8, "n_groups": 1, "chunk_size": 16},
    "minimax": HEADS | _LINEAR_FIRST | {"block_size": 16, "num_local_experts": 4},
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
    "olmo_hybrid": GROUPED | GATED_DELTA,
    "qwen3_5_moe_text": QWEN_MIXTURE,
    "qwen3_5_text": QWEN_DENSE,
    "qwen3_next": QWEN_MIXTURE,
    "qwen4_exp_text": QWEN4,
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
    "zamba": _ZAMBA | {"mamba_dt_rank": 4, "n_mamba_heads": 2},
    "zamba2": _ZAMBA | {"n_mamba_heads": 8, "chunk_size": 16},
    "zaya": HEADS
    | WINDOW
    | MIXTURE
    | {
        "num_experts_per_tok": 1,
        "router_hidden_size": 16,
        "layer_types": ["hybrid_sliding", "hybrid"],
    },
}
