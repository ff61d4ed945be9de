"""GGUF files of decoder-only students, for llama.cpp: weights, settings, tokenizer, chat template.

Names of tensors are those of package `gguf`. Weights are read in fp32 and stored in the type that
llama.cpp's own quantization chooses (`quantization`).
"""

import logging
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
from gguf.gguf_writer import WriterState

from lamini.errors import LaminiError
from lamini.exports.families import refusal
from lamini.exports.gguf_tokenizer import add_tokenizer
from lamini.exports.quantization import FILE_TYPES, quantize, tensor_type
from lamini.files import atomic_writer
from lamini.settings.exports import GgufType
from lamini.settings.params.evaluation import ExportGguf

logger = logging.getLogger("lamini")
_GELU = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
"""llama.cpp computes one of them, by the tangent; the others differ by less than 0.001."""


def export_gguf(*, gguf_file: str | Path, settings: ExportGguf) -> None:
    """Write a student as one GGUF file.

    Args:
        gguf_file: file to write.
        settings: the student, and the type of the file.

    Raises:
        LaminiError: if llama.cpp has no such models or tokenizers.
    """
    import torch

    from lamini.evaluation.models import load_evaluated_model

    model, tokenizer = load_evaluated_model(settings.model, "fp32", torch.device("cpu"))
    write_gguf(model, tokenizer, Path(gguf_file), settings.type, settings.name)


def write_gguf(model: Any, tokenizer: Any, path: Path, wanted: GgufType, name: str) -> None:
    """Write a loaded model as one GGUF file.

    Args:
        model: a Hugging Face model in fp32, on the CPU.
        tokenizer: its fast tokenizer.
        path: file to write.
        wanted: type of the file.
        name: name of the model in the file.

    Raises:
        LaminiError: if llama.cpp has no such models or tokenizers.
    """
    check_exportable(model.config)
    rows, layers = model.get_input_embeddings().weight.shape[0], model.config.num_hidden_layers
    with atomic_writer(path, "wb") as handle:
        writer = gguf.GGUFWriter(None, model.config.model_type)
        writer.add_name(name)
        writer.add_file_type(FILE_TYPES[wanted])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_settings(writer, model.config, rows)
        add_tokenizer(writer, tokenizer, rows)
        tensors = dict(named_tensors(model))
        tied = "output.weight" not in tensors
        for tensor, values in tensors.items():
            stored = tensor_type(tensor, values.shape, wanted, layers=layers, tied=tied)
            writer.add_tensor(tensor, quantize(values, stored), raw_dtype=stored)
        writer.fout = [cast("BufferedWriter", handle)]  # an open file in place of a path
        writer.state = WriterState.EMPTY
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    logger.info("%s: %s, %.1f MB", path, wanted, path.stat().st_size / 1e6)


def check_exportable(config: Any) -> None:
    """Refuse a model that llama.cpp would compute in another way.

    Raises:
        LaminiError: names the field of the model's configuration.
    """
    kind = config.model_type
    if reason := refusal(kind, "decoder-only"):
        raise LaminiError(f"exports: {reason}")
    if kind == "gpt2":
        wanted = {
            "activation_function": _GELU,
            "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
        }
    else:
        wanted = {"hidden_act": ("silu",), "use_sliding_window": (False, None)}
        rope = config.rope_parameters["rope_type"]
        if rope not in ("default", "llama3"):
            raise LaminiError(f"exports: a {kind} with rope_type {rope} can't be exported to GGUF")
    for field, values in wanted.items():
        if (value := getattr(config, field, None)) not in values:
            raise LaminiError(f"exports: a {kind} with {field} {value} can't be exported to GGUF")


def _add_settings(writer: gguf.GGUFWriter, config: Any, rows: int) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(rows)
    if config.model_type == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    size = _head_size(config)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(size)
    writer.add_key_length(size)
    writer.add_value_length(size)


def _head_size(config: Any) -> int:
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)


def named_tensors(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Weights by GGUF's names, in fp32. A tied output head is left out, as llama.cpp expects.

    Args:
        model: a Hugging Face model of one of `families.GGUF_TYPES`.
    """
    config = model.config
    architecture = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[config.model_type]
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for key, parameter in model.named_parameters():
        values = parameter.detach().float().numpy()
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name is not None, key
        if config.model_type == "gpt2" and values.ndim == 2 and ".c_" in key:
            values = values.T  # GPT-2's layers store their matrices transposed
        if config.model_type == "llama" and (".q_proj." in key or ".k_proj." in key):
            values = _rotated_pairs(values, _head_size(config))
        yield name, values
    if config.model_type != "gpt2" and config.rope_parameters["rope_type"] == "llama3":
        yield "rope_freqs.weight", _frequency_factors(model)


def _rotated_pairs(values: np.ndarray, size: int) -> np.ndarray:
    """Rows in llama.cpp's order: it rotates neighbouring rows, transformers the halves of a head.

    Args:
        values: weight or bias of queries or keys. Shape (heads * size, ...).
        size: rows of a head.
    """
    heads = values.reshape(-1, 2, size // 2, *values.shape[1:])
    return heads.swapaxes(1, 2).reshape(values.shape)


def _frequency_factors(model: Any) -> np.ndarray:
    """Factors by which Llama 3 divides the rotary frequencies. Shape (head size / 2,)."""
    size, theta = _head_size(model.config), model.config.rope_parameters["rope_theta"]
    unscaled = theta ** -(np.arange(0, size, 2, dtype=np.float32) / size)
    scaled = model.model.rotary_emb.inv_freq.float().numpy()
    return np.asarray(unscaled / scaled, dtype=np.float32)
