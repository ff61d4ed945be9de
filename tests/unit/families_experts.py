"""Tiny configurations of the decoder-only model types with mixtures of experts.

A row's name is its `model_type` unless the row says another. Types whose layers are also
recurrent stand in `families_recurrent`.
"""

from families_causal import ALTERNATING, GRANITE, GROUPED, HEADS, LATENT, WINDOW, Fields

_EXPERTS: Fields = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LOCAL: Fields = {"num_local_experts": 4, "num_experts_per_tok": 2}
_ROUTED: Fields = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 2,
    "topk_group": 1,
}
_DENSE_FIRST: Fields = {"mlp_layer_types": ["dense", "sparse"]}
_SPARSE: Fields = {"index_topk": 8, "index_head_dim": 16, "index_n_heads": 2}
"""An indexer that keeps 8 keys for each query."""
_SWITCHED: Fields = {"num_hidden_layers": 4, "first_k_dense_replace": 1}

EXPERTS: dict[str, Fields] = {
    "afmoe": HEADS
    | ALTERNATING
    | _EXPERTS
    | {"num_dense_layers": 1, "num_shared_experts": 1, "global_attn_every_n_layers": 2},
    "aria_text": GROUPED | {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1},
    "axk1": LATENT | _ROUTED | _DENSE_FIRST,
    "axk2": LATENT | _ROUTED | _DENSE_FIRST | _SPARSE | {"gated_norm_rank": 4},
    "beam": HEADS | ALTERNATING | _EXPERTS | _DENSE_FIRST | {"n_group": 2, "topk_group": 1},
    "cohere2_moe": HEADS | ALTERNATING | {"num_experts": 4, "num_experts_per_tok": 2},
    "dbrx": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 128,
        "attn_config": {"kv_n_heads": 2},
        "ffn_config": {
            "hidden_size": 32,
            "ffn_hidden_size": 32,
            "moe_num_experts": 4,
            "moe_top_k": 2,
        },
    },
    "deepseek_v2": LATENT | _ROUTED | {"first_k_dense_replace": 1, "topk_method": "greedy"},
    "deepseek_v3": LATENT | _ROUTED | {"first_k_dense_replace": 1},
    "deepseek_v32": LATENT | _ROUTED | _DENSE_FIRST | _SPARSE,
    "deepseek_v4": HEADS
    | _ROUTED
    | _SPARSE
    | {
        "q_lora_rank": 16,
        "o_groups": 2,
        "o_lora_rank": 16,
        "sliding_window": 16,
        "num_key_value_heads": 1,
    },
    "dots1": GROUPED | _ROUTED | {"first_k_dense_replace": 1},
    "dots3_note_text": LATENT | ALTERNATING | _ROUTED | _DENSE_FIRST | _SPARSE,
    "ernie4_5_moe": GROUPED
    | {
        "moe_num_experts": 4,
        "moe_k": 2,
        "moe_intermediate_size": 32,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
        "moe_layer_end_index": 1,
    },
    "exaone_moe": GROUPED | ALTERNATING | _EXPERTS | _DENSE_FIRST,
    "flex_olmo": GROUPED | {"num_experts": 4, "num_experts_per_tok": 2},
    "flint": HEADS
    | ALTERNATING
    | _EXPERTS
    | {"shared_expert_intermediate_size": 32, "mlp_only_layers": [0]},
    "glm4_moe": HEADS | _ROUTED | {"first_k_dense_replace": 1},
    "glm4_moe_lite": LATENT | _ROUTED | _DENSE_FIRST,
    "glm_moe_dsa": LATENT | _ROUTED | _DENSE_FIRST | _SPARSE,
    "gpt_oss": HEADS | ALTERNATING | _LOCAL,
    "granitemoe": GROUPED | GRANITE | _LOCAL,
    "granitemoe_swa": GROUPED | GRANITE | ALTERNATING | _LOCAL | {"shared_intermediate_size": 32},
    "granitemoeshared": GROUPED | GRANITE | _LOCAL | {"shared_intermediate_size": 32},
    "hunyuan_v1_moe": HEADS | {"num_experts": 4, "moe_topk": 2},
    "hy_v3": HEADS | _EXPERTS | _DENSE_FIRST,
    "hy_v4": LATENT | _ROUTED | _DENSE_FIRST | _SPARSE,
    "inkling2_text": HEADS,
    "inkling_text": HEADS
    | _ROUTED
    | {
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 8,
        "sliding_window_size": 16,
        "d_rel": 4,
        "rel_extent": 32,
        "logits_mup_width_multiplier": 2.0,
    },
    "jetmoe": GROUPED | _LOCAL | {"kv_channels": 8, "num_key_value_heads": 2},
    "kolibri1": HEADS
    | ALTERNATING
    | _LOCAL
    | {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    "laguna": HEADS
    | ALTERNATING
    | _EXPERTS
    | _DENSE_FIRST
    | {"shared_expert_intermediate_size": 32},
    "llama4_text": HEADS
    | {"num_local_experts": 4, "intermediate_size_mlp": 64, "attention_chunk_size": 16},
    "longcat_flash": LATENT
    | {
        "num_layers": 1,
        "ffn_hidden_size": 64,
        "moe_topk": 2,
        "n_routed_experts": 4,
        "zero_expert_num": 2,
        "expert_ffn_hidden_size": 32,
    },
    "mellum": HEADS | ALTERNATING | _LOCAL | _DENSE_FIRST | {"moe_intermediate_size": 32},
    "mimo_v2_flash": HEADS | ALTERNATING | _ROUTED | _DENSE_FIRST | {"v_head_dim": 8},
    "minimax_m2": HEADS | _LOCAL,
    "minimax_m3_vl_text": HEADS | _LOCAL,
    "mixtral": GROUPED | _LOCAL,
    "mixtral-window": GROUPED | WINDOW | _LOCAL | {"model_type": "mixtral"},
    "olmoe": GROUPED | {"num_experts": 4, "num_experts_per_tok": 2},
    "phimoe": GROUPED | _LOCAL,
    "qwen2_moe": GROUPED | _EXPERTS | {"shared_expert_intermediate_size": 32},
    "qwen3_moe": HEADS | _EXPERTS,
    "solar_open": HEADS | _ROUTED,
}
