"""Tiny configurations of decoders that are one half of another architecture.

BERT's relatives, with and without a causal mask, and the decoders of encoder-decoder types. A
row's name is its `model_type` unless the row says another.
"""

from families.parts import BIGBIRD_SPARSE, ENCODER_DECODER, LAYERS, PROPHETNET, Fields

_DECODER: Fields = LAYERS | {"is_decoder": True}
_XLNET: Fields = {
    "model_type": "xlnet",
    "d_model": 32,
    "n_layer": 2,
    "n_head": 4,
    "d_inner": 64,
    "d_head": 8,
}
_XLM: Fields = {
    "model_type": "xlm",
    "emb_dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 128,
}

HALVES: dict[str, Fields] = {
    "bert": _DECODER,
    "bert-bidirectional": LAYERS | {"model_type": "bert"},
    "bert-generation": _DECODER,
    "big_bird": _DECODER | {"attention_type": "original_full"},
    "big_bird-sparse": LAYERS | BIGBIRD_SPARSE | {"model_type": "big_bird"},
    "camembert": _DECODER,
    "data2vec-text": _DECODER,
    "electra": _DECODER | {"embedding_size": 16},
    "ernie": _DECODER,
    "megatron-bert": _DECODER,
    "rembert": _DECODER | {"input_embedding_size": 16, "output_embedding_size": 16},
    "roberta": _DECODER,
    "roberta-bidirectional": LAYERS | {"model_type": "roberta"},
    "roberta-prelayernorm": _DECODER,
    "roc_bert": _DECODER
    | {
        "pronunciation_vocab_size": 97,
        "shape_vocab_size": 97,
        "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
    },
    "roformer": _DECODER | {"embedding_size": 16},
    "xlm": _XLM | {"causal": True},
    "xlm-bidirectional": _XLM,
    "xlm-roberta": _DECODER,
    "xlm-roberta-xl": _DECODER,
    "xlnet": _XLNET | {"attn_type": "uni"},
    "xlnet-bidirectional": _XLNET,
    "xmod": _DECODER | {"languages": ["en_XX"], "default_language": "en_XX"},
    "bart-decoder": ENCODER_DECODER | {"model_type": "bart"},
    "bigbird_pegasus-decoder": ENCODER_DECODER | {"model_type": "bigbird_pegasus"},
    "blenderbot-decoder": ENCODER_DECODER | {"model_type": "blenderbot"},
    "blenderbot-small-decoder": ENCODER_DECODER | {"model_type": "blenderbot-small"},
    "marian-decoder": ENCODER_DECODER | {"model_type": "marian", "decoder_vocab_size": 97},
    "mbart-decoder": ENCODER_DECODER | {"model_type": "mbart"},
    "mvp-decoder": ENCODER_DECODER | {"model_type": "mvp"},
    "pegasus-decoder": ENCODER_DECODER | {"model_type": "pegasus"},
    "plbart-decoder": ENCODER_DECODER | {"model_type": "plbart"},
    "prophetnet-decoder": PROPHETNET | {"model_type": "prophetnet"},
    "trocr": ENCODER_DECODER,
    "whisper": ENCODER_DECODER | {"max_target_positions": 128, "max_source_positions": 16},
}
