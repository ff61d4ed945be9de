"""Tiny configurations of the decoder-only types with mixtures of experts.

A row's name is its `model_type` unless the row says another. Types whose layers also carry a
state stand in `recurrent`.
"""

from families.parts import (
    ALTERNATING,
    DENSE_FIRST,
    EXPERTS,
    GRANITE,
    GROUPED,
    HEADS,
    INDEXED,
    LATENT,
    LOCAL_EXPERTS,
    MIXTURE,
    ROUTED,
    WINDOW,
    Fields,
)

_SHARED: Fields = MIXTURE | {"shared_expert_intermediate_size": 32}
_FIRST_DENSE: Fields = {"first_k_dense_replace": 1}
_INKLING: Fields = {
    "layer_types": ["hybrid_sliding", "hybrid"],
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 8,
    "sliding_window_size": 16,
    "d_rel": 4,
    "rel_extent": 32,
    "log_scaling_n_floor": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
}
DOTS3: Fields = (
    LATENT
    | ALTERNATING
    | ROUTED
    | DENSE_FIRST
    | INDEXED
    | {
        "head_dim": 16,
        "shared_experts_intermediate_size": 32,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 4,
        "swa_q_lora_rank": 16,
        "swa_kv_lora_rank": 16,
        "swa_head_dim": 16,
        "swa_qk_nope_head_dim": 8,
        "swa_v_head_dim": 8,
    }
)
LLAMA4: Fields = HEADS | {
    "num_hidden_layers": 4,
    "num_local_experts": 4,
    "intermediate_size_mlp": 64,
    "attention_chunk_size": 16,
    "floor_scale": 8,
}

MIXTURES: dict[str, Fields] = {
    "afmoe": HEADS | ALTERNATING | MIXTURE | {"num_dense_layers": 1, "num_shared_experts": 1},
    "aria_text": GROUPED | {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1},
    "axk1": LATENT | ROUTED | DENSE_FIRST,
    "axk2": LATENT | ROUTED | DENSE_FIRST | INDEXED | {"gated_norm_rank": 4},
    "beam": HEADS | ALTERNATING | MIXTURE | DENSE_FIRST | {"n_group": 2, "topk_group": 1},
    "cohere2_moe": HEADS | ALTERNATING | EXPERTS,
    "dbrx": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 128,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": LATENT | ROUTED | _FIRST_DENSE | {"topk_method": "greedy"},
    "deepseek_v3": LATENT | ROUTED | _FIRST_DENSE,
    "deepseek_v32": LATENT | ROUTED | DENSE_FIRST | INDEXED,
    "deepseek_v4": HEADS
    | ROUTED
    | INDEXED
    | {
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "layer_types": [
            "heavily_compressed_attention",
            "compressed_sparse_attention",
            "sliding_attention",
        ],
        "mlp_layer_types": ["hash_moe", "moe", "moe"],
        "compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 8},
        "partial_rotary_factor": 0.5,
        "index_topk": 4,
        "q_lora_rank": 16,
        "o_groups": 2,
        "o_lora_rank": 16,
        "sliding_window": 16,
    },
    "dots1": GROUPED | ROUTED | _FIRST_DENSE,
    "dots3_note_text": DOTS3,
    "ernie4_5_moe": GROUPED
    | {
        "moe_num_experts": 4,
        "moe_k": 2,
        "moe_intermediate_size": 32,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
        "moe_layer_end_index": 1,
    },
    "exaone_moe": GROUPED | ALTERNATING | MIXTURE | DENSE_FIRST,
    "flex_olmo": GROUPED | EXPERTS,
    "flint": HEADS | ALTERNATING | _SHARED | {"mlp_only_layers": [0]},
    "glm4_moe": HEADS | ROUTED | _FIRST_DENSE,
    "glm4_moe_lite": LATENT | ROUTED | DENSE_FIRST,
    "glm_moe_dsa": LATENT | ROUTED | DENSE_FIRST | INDEXED,
    "gpt_oss": HEADS | ALTERNATING | LOCAL_EXPERTS,
    "granitemoe": GROUPED | GRANITE | LOCAL_EXPERTS,
    "granitemoe_swa": GROUPED
    | GRANITE
    | ALTERNATING
    | LOCAL_EXPERTS
    | {"shared_intermediate_size": 32},
    "granitemoeshared": GROUPED | GRANITE | LOCAL_EXPERTS | {"shared_intermediate_size": 32},
    "hunyuan_v1_moe": HEADS | {"num_experts": 4, "moe_topk": 2},
    "hy_v3": HEADS | MIXTURE | DENSE_FIRST,
    "hy_v4": LATENT | ROUTED | DENSE_FIRST | INDEXED,
    "inkling2_text": HEADS | _INKLING | {"n_layers_per_attn_res_block": 1},
    "inkling_text": HEADS
    | _INKLING
    | DENSE_FIRST
    | {"n_shared_experts": 1, "logits_mup_width_multiplier": 2.0},
    "jetmoe": GROUPED | LOCAL_EXPERTS | {"kv_channels": 8},
    "kolibri1": HEADS
    | ALTERNATING
    | LOCAL_EXPERTS
    | {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    "laguna": HEADS | ALTERNATING | _SHARED | DENSE_FIRST,
    "llama4_text": LLAMA4,
    "longcat_flash": LATENT
    | {
        "num_layers": 1,
        "head_dim": 8,
        "ffn_hidden_size": 64,
        "moe_topk": 2,
        "n_routed_experts": 4,
        "zero_expert_num": 2,
        "expert_ffn_hidden_size": 32,
    },
    "mellum": HEADS | ALTERNATING | LOCAL_EXPERTS | DENSE_FIRST | {"moe_intermediate_size": 32},
    "mimo_v2_flash": HEADS | ALTERNATING | ROUTED | DENSE_FIRST | {"v_head_dim": 8},
    "minimax_m2": HEADS | LOCAL_EXPERTS,
    "minimax_m3_vl_text": HEADS
    | LOCAL_EXPERTS
    | DENSE_FIRST
    | {
        "layer_types": ["full_attention", "minimax_m3_sparse"],
        "dense_intermediate_size": 64,
        "shared_intermediate_size": 32,
        "rotary_dim": 4,
        "index_n_heads": 2,
        "index_head_dim": 8,
        "index_block_size": 4,
        "index_topk_blocks": 2,
    },
    "mixtral": GROUPED | LOCAL_EXPERTS,
    "mixtral-window": GROUPED | WINDOW | LOCAL_EXPERTS | {"model_type": "mixtral"},
    "olmoe": GROUPED | EXPERTS,
    "phimoe": GROUPED | LOCAL_EXPERTS,
    "qwen2_moe": GROUPED | _SHARED,
    "qwen3_moe": HEADS | MIXTURE,
    "solar_open": HEADS | ROUTED,
}
