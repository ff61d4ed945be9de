"""Tiny configurations of the encoder-decoder types.

A row's name is its `model_type` unless the row says another. Start tokens are those of a type's
published checkpoints, as far as the tiny vocabulary has them.
"""

from families.parts import (
    BIGBIRD_SPARSE,
    ENCODER_DECODER,
    GEMMA2,
    GEMMA3,
    LAYERS,
    PROPHETNET,
    VISION,
    Fields,
)

_T5: Fields = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_OWN_HEAD: Fields = {"tie_word_embeddings": False}
_LONG_T5: Fields = _T5 | {"model_type": "longt5", "local_radius": 7, "global_block_size": 4}
_BERT: Fields = LAYERS | {"model_type": "bert"}
_BIGBIRD_PEGASUS: Fields = ENCODER_DECODER | {"model_type": "bigbird_pegasus"}
_START_2: Fields = {"bos_token_id": 2}
"""T5Gemma starts its decoder with the decoder's `bos_token_id`."""

SEQ2SEQ: dict[str, Fields] = {
    "bart": ENCODER_DECODER,
    "bigbird_pegasus": _BIGBIRD_PEGASUS | {"attention_type": "original_full"},
    "bigbird_pegasus-sparse": _BIGBIRD_PEGASUS | BIGBIRD_SPARSE,
    "blenderbot": ENCODER_DECODER,
    "blenderbot-small": ENCODER_DECODER,
    "encoder-decoder": {
        "encoder": _BERT,
        "decoder": _BERT | {"is_decoder": True, "add_cross_attention": True},
        "decoder_start_token_id": 0,
    },
    "fsmt": ENCODER_DECODER | {"langs": ["en", "de"], "src_vocab_size": 97, "tgt_vocab_size": 97},
    "led": ENCODER_DECODER
    | {
        "max_encoder_position_embeddings": 128,
        "max_decoder_position_embeddings": 128,
        "attention_window": 8,
    },
    "longt5": _LONG_T5,
    "longt5-global": _LONG_T5 | {"encoder_attention_type": "transient-global"},
    "m2m_100": ENCODER_DECODER,
    "marian": ENCODER_DECODER | {"decoder_vocab_size": 97, "decoder_start_token_id": 0},
    "mbart": ENCODER_DECODER | {"decoder_start_token_id": 2},
    "mt5": _T5 | _OWN_HEAD,
    "mvp": ENCODER_DECODER,
    "nllb-moe": ENCODER_DECODER
    | {"num_experts": 4, "encoder_sparse_step": 2, "decoder_sparse_step": 2},
    "pegasus": ENCODER_DECODER,
    "pegasus_x": ENCODER_DECODER | {"num_global_tokens": 4, "block_size": 8},
    "plbart": ENCODER_DECODER | {"decoder_start_token_id": 2},
    "prophetnet": PROPHETNET,
    "seamless_m4t": ENCODER_DECODER | {"hidden_size": 32},
    "seamless_m4t_v2": ENCODER_DECODER | {"hidden_size": 32},
    "switch_transformers": _T5
    | {"num_experts": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    "t5": _T5,
    "t5-v1.1": _T5 | _OWN_HEAD | {"model_type": "t5", "feed_forward_proj": "gated-gelu"},
    "t5gemma": {
        "encoder": GEMMA2,
        "decoder": GEMMA2 | _START_2 | {"cross_attention_hidden_size": 32},
    },
    "t5gemma2": {
        "encoder": {"text_config": GEMMA3, "vision_config": VISION, "mm_tokens_per_image": 4},
        "decoder": GEMMA3 | _START_2,
    },
    "umt5": _T5 | _OWN_HEAD,
}
