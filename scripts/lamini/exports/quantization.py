"""Quantization of GGUF tensors: ggml's own functions, in the types that llama.cpp chooses.

The functions are those of the llama.cpp inside package `xllamacpp`, called through ctypes. That
package does not contain `llama_model_quantize`, which chooses the type of each tensor; the choice
is repeated here (llama.cpp, `src/llama-quant.cpp`, `llama_tensor_get_type`).
"""

import ctypes
import functools
import re
from collections.abc import Callable
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from lamini.errors import LaminiError
from lamini.settings.exports import GgufType

FILE_TYPES: dict[GgufType, gguf.LlamaFileType] = {
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M,
}
"""Value of `general.file_type`."""
_FALLBACK = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}
"""Type for rows that are no multiple of a K-type's block of 256 values."""


def tensor_type(
    name: str, shape: tuple[int, ...], wanted: GgufType, *, layers: int, tied: bool
) -> Type:
    """Type in which a tensor is stored.

    Args:
        name: GGUF's name of the tensor, such as `blk.0.attn_v.weight`.
        shape: rows and columns; the columns are quantized in blocks.
        wanted: type of the file.
        layers: number of the model's layers.
        tied: whether the embedding is also the output head.
    """
    if len(shape) < 2 or name == "position_embd.weight":
        return Type.F32
    if wanted == "f16":
        return Type.F16
    chosen = Type.Q8_0 if wanted == "q8_0" else _q4_k_m_type(name, layers, tied)
    if shape[-1] % gguf.GGML_QUANT_SIZES[chosen][0]:
        chosen = _FALLBACK.get(chosen, chosen)
    return Type.F16 if shape[-1] % gguf.GGML_QUANT_SIZES[chosen][0] else chosen


def _q4_k_m_type(name: str, layers: int, tied: bool) -> Type:
    """Q4_K, with more bits for the tensors whose rounding errors have the largest effect."""
    if name == ("token_embd.weight" if tied else "output.weight"):
        return Type.Q6_K
    match = re.fullmatch(r"blk\.(\d+)\.(attn_v|attn_qkv|ffn_down)\.weight", name)
    if match is None:
        return Type.Q4_K
    if match[2] == "attn_qkv":
        return Type.Q5_K
    return Type.Q6_K if _has_more_bits(int(match[1]), layers) else Type.Q4_K


def _has_more_bits(layer: int, layers: int) -> bool:
    """Whether a layer is in the first or last eighth, or every third one between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def quantize(values: np.ndarray, wanted: Type) -> np.ndarray:
    """Values in a GGUF type.

    Args:
        values: fp32. Shape (rows, columns) or (columns,).
        wanted: type; its block size divides the columns.

    Returns:
        fp32 or fp16 values of the same shape, or the bytes of the blocks, shape (rows, bytes).

    Raises:
        LaminiError: if package `xllamacpp` is missing.
    """
    if wanted == Type.F32:
        return values.astype(np.float32)
    if wanted == Type.F16:
        return values.astype(np.float16)
    source = np.ascontiguousarray(values, dtype=np.float32)
    blocks = np.empty(gguf.quant_shape_to_byte_shape(source.shape, wanted), dtype=np.uint8)
    rows, columns = source.shape
    written = _ggml()(int(wanted), source.ctypes.data, blocks.ctypes.data, 0, rows, columns, None)
    assert written == blocks.nbytes
    return blocks


@functools.cache
def _ggml() -> Callable[..., Any]:
    """`ggml_quantize_chunk(type, source, target, start, rows, columns, importances)`."""
    try:
        from xllamacpp import xllamacpp
    except ImportError:
        raise LaminiError(
            "exports: package xllamacpp, which has llama.cpp, is missing; run `make install`"
        ) from None
    function = ctypes.CDLL(xllamacpp.__file__).ggml_quantize_chunk
    count, pointer = ctypes.c_int64, ctypes.c_void_p
    function.argtypes = [ctypes.c_int, pointer, pointer, count, count, count, pointer]
    function.restype = ctypes.c_size_t
    return function  # type: ignore[no-any-return]
