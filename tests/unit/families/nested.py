"""Tiny configurations of decoder-only types with a nested text configuration.

Most also read images or sound, whose parts are built as small as they can be and stay unused. A
row's name is its `model_type` unless the row says another.
"""

from families.experts import DOTS3, LLAMA4
from families.parts import GEMMA3, GROUPED, HEADS, LAYERS, VISION, WINDOW, Fields
from families.recurrent import QWEN4, QWEN_DENSE, QWEN_MIXTURE

_FOUR_LAYERS: Fields = {
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_kv_shared_layers": 2,
}
_PER_LAYER: Fields = {"vocab_size_per_layer_input": 97, "hidden_size_per_layer_input": 8}
_GEMMA3N: Fields = (
    HEADS
    | WINDOW
    | _FOUR_LAYERS
    | _PER_LAYER
    | {"laurel_rank": 4, "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0]}
)
_GEMMA4: Fields = HEADS | WINDOW | _FOUR_LAYERS | _PER_LAYER | {"global_head_dim": 16}
_GEMMA4_UNIFIED: Fields = HEADS | WINDOW | _FOUR_LAYERS | {"global_head_dim": 16}
_GEMMA3_VISION: Fields = {"vision_config": VISION, "mm_tokens_per_image": 4}
_QWEN_VISION: Fields = {
    "vision_config": {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 32,
    }
}
_SOUND: Fields = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}

NESTED: dict[str, Fields] = {
    "dots3_note": {
        "text_config": DOTS3,
        "vision_config": {"adapter_out_dim": 32},
        "audio_config": {"adapter_out_dim": 32},
    },
    "emu3": {"text_config": GROUPED},
    "fuyu": {"text_config": LAYERS, "image_size": 8, "patch_size": 4},
    "gemma3": {"text_config": GEMMA3} | _GEMMA3_VISION,
    "gemma3-wide": {"model_type": "gemma3", "text_config": GEMMA3 | {"sliding_window": 4096}}
    | _GEMMA3_VISION,
    "gemma3n_text": _GEMMA3N,
    "gemma4": {"text_config": _GEMMA4},
    "gemma4_text": _GEMMA4,
    "gemma4_unified": {"text_config": _GEMMA4_UNIFIED},
    "gemma4_unified_text": _GEMMA4_UNIFIED,
    "git": LAYERS | {"vision_config": VISION},
    "got_ocr2": {
        "text_config": GROUPED,
        "vision_config": {
            "hidden_size": 16,
            "output_channels": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "mlp_dim": 16,
            "window_size": 2,
            "global_attn_indexes": [0],
        },
    },
    "llama4": {"text_config": LLAMA4, "vision_config": VISION | {"vision_output_dim": 16}},
    "mllama": {
        "text_config": GROUPED | {"cross_attention_layers": [1]},
        "vision_config": VISION,
    },
    "moshi": GROUPED
    | {
        "head_dim": 8,
        "ffn_dim": 64,
        "sliding_window": 16,
        "num_codebooks": 2,
        "audio_encoder_config": {"model_type": "mimi"},
        "depth_decoder_config": {"num_codebooks": 2, "hidden_size": 16, "ffn_dim": 16},
    },
    "moss_transcribe_diarize": {"text_config": HEADS, "audio_config": _SOUND},
    "phi4_multimodal": GROUPED
    | {
        "vision_config": VISION | {"crop_size": 8},
        "audio_config": {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_blocks": 1,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 16,
            "depthwise_separable_out_channel": 16,
            "nemo_conv_channels": 16,
        },
    },
    "qwen3_5": {"text_config": QWEN_DENSE} | _QWEN_VISION,
    "qwen3_5_moe": {"text_config": QWEN_MIXTURE} | _QWEN_VISION,
    "qwen4_exp": {"text_config": QWEN4} | _QWEN_VISION,
}
