"""Fields that many tiny configurations share: sizes, windows, latent attention, vision."""

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

GEMMA2: Fields = HEADS | ALTERNATING | {"query_pre_attn_scalar": 8}
GEMMA3: Fields = (
    HEADS
    | WINDOW
    | {
        "num_hidden_layers": 6,
        "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        "query_pre_attn_scalar": 8,
    }
)
GRANITE: Fields = {
    "logits_scaling": 8.0,
    "embedding_multiplier": 4.0,
    "residual_multiplier": 0.6,
    "attention_multiplier": 0.5,
}

EXPERTS: Fields = {"num_experts": 4, "num_experts_per_tok": 2}
MIXTURE: Fields = EXPERTS | {"moe_intermediate_size": 32}
LOCAL_EXPERTS: Fields = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED: Fields = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 2,
    "topk_group": 1,
}
DENSE_FIRST: Fields = {"mlp_layer_types": ["dense", "sparse"]}
INDEXED: Fields = {"index_topk": 8, "index_head_dim": 16, "index_n_heads": 2}
"""Sparse attention: an indexer keeps 8 keys for each query."""

GATED_DELTA: Fields = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
"""Linear attention by the gated delta rule, as Qwen3-Next has it."""

ENCODER_DECODER: Fields = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
}
PROPHETNET: Fields = {
    "hidden_size": 32,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "num_encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4,
    "max_position_embeddings": 128,
}
BIGBIRD_SPARSE: Fields = {"block_size": 2, "num_random_blocks": 1}
"""Blocks so small that texts of 15 tokens are long enough for block-sparse attention."""

VISION: Fields = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
