"""Tiny configurations of every encoder-decoder model type.

A row's name is its `model_type` unless the row says another.
"""

from families_causal import DECODER, GEMMA2, GEMMA3, VISION, Fields

_T5: Fields = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
_UNTIED: Fields = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
_BERT: Fields = {
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}

SEQ2SEQ: dict[str, Fields] = {
    "bart": DECODER,
    "blenderbot": DECODER,
    "blenderbot-small": DECODER,
    "encoder-decoder": {
        "encoder": _BERT,
        "decoder": _BERT | {"is_decoder": True, "add_cross_attention": True},
    },
    "longt5": _T5 | {"local_radius": 7},
    "longt5-global": _T5
    | {
        "model_type": "longt5",
        "local_radius": 7,
        "global_block_size": 4,
        "encoder_attention_type": "transient-global",
    },
    "m2m_100": DECODER,
    "marian": DECODER | {"decoder_vocab_size": 97},
    "mbart": DECODER,
    "mt5": _T5,
    "mvp": DECODER,
    "pegasus": DECODER,
    "plbart": DECODER,
    "switch_transformers": _T5
    | {"num_experts": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    "t5": _T5,
    "t5-v1.1": _T5 | _UNTIED | {"model_type": "t5"},
    "t5gemma": {"encoder": GEMMA2, "decoder": GEMMA2 | {"cross_attention_hidden_size": 32}},
    "t5gemma2": {
        "encoder": {"text_config": GEMMA3, "vision_config": VISION, "mm_tokens_per_image": 4},
        "decoder": GEMMA3,
    },
    "umt5": _T5,
}
