"""Kernels, operations and bytes of a micro-batch on a GPU, counted without one.

The real code of training runs on tensors without data (device `meta`). A dispatch mode sees each
operator below autograd, in the forward and the backward pass: about one kernel each. A function
mode does what torch does on a GPU only: automatic casts to bf16, fused dropout, and the attention
kernel that takes a mask. The layers of a model are alike, so models with few layers are counted and
the rest is extrapolated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

import numpy as np
import torch
from compiled_counts import Kernel, as_compiled, compiler_for_meta, run_block_as_compiled
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from lamini.forward import flat
from lamini.forward.own import log_likelihoods
from lamini.students.pretrained import separate_head
from lamini.training.fast_modules import align_head, fuse_activations

_F = torch.nn.functional
_PRODUCTS = {
    _F.linear,
    torch.matmul,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.addmm,
    torch.baddbmm,
    torch.bmm,
    torch.mm,
}
"""Functions whose arguments torch casts to bf16 in `autocast`."""
_WITHOUT_KERNEL = ("empty", "_unsafe_view", "scalar_tensor", "detach", "_reshape_alias")
_KERNELS = {"_flash_attention_backward": 3, "_scaled_dot_product_efficient_attention_backward": 3}
"""Operators that start several kernels; all others start one."""


@dataclass
class Counts:
    """Kernels of a micro-batch in the order of their start."""

    flops: list[float] = field(default_factory=list)
    """Floating-point operations of each kernel; 0 except for matrix products and attention."""
    bytes: list[float] = field(default_factory=list)
    """Bytes that each kernel reads and writes."""
    forward: int = 0
    """Kernels of the forward pass."""
    peak: int = 0
    """Largest memory of all tensors that the micro-batch makes, in bytes."""

    def seconds(self, peak: float, bandwidth: float, share: float) -> float:
        """Time of all kernels on a GPU: of their products or their bytes, whichever is longer.

        Args:
            peak: FLOP/s of the GPU's matrix products.
            bandwidth: bytes per second of its memory.
            share: share of the peak that matrix products reach.
        """
        products = np.array(self.flops) / (share * peak)
        return float(np.maximum(products, np.array(self.bytes) / bandwidth).sum())


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self._alive = 0
        self._paused = False
        self._storages: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function._schema.name.removeprefix("aten::")
        if self._paused:
            return result
        if not (function.is_view or name.startswith(_WITHOUT_KERNEL)):
            tensors = [t for t in tree_leaves((args, kwargs, result)) if _has_data(t)]
            moved = sum(_touched(t) for t in tensors)
            product = flop_registry.get(function.overloadpacket)
            flops = product(*args, **(kwargs or {}), out_val=result) if product else 0
            self._add(name, flops, moved)
        self._follow_all(result)
        return result

    def _add(self, name: str, flops: float, moved: float) -> None:
        kernels = _KERNELS.get(name, 1)
        self.counts.flops += [flops / kernels] * kernels
        self.counts.bytes += [moved / kernels] * kernels

    @contextmanager
    def paused(self) -> Iterator[None]:
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def add_graph(self, kernels: Sequence[Kernel], results: Any) -> None:
        for kernel in kernels:
            self._add(kernel.name, kernel.flops, kernel.bytes)
        self._follow_all(results)

    def _follow_all(self, results: Any) -> None:
        for tensor in tree_leaves(results):
            if _has_data(tensor):
                self._follow(tensor.untyped_storage())

    def _follow(self, storage: Any) -> None:
        if storage in self._storages:
            return
        size = storage.nbytes()
        self._alive += size
        self.counts.peak = max(self.counts.peak, self._alive)
        self._storages[storage] = _Release(lambda: self._freed(size))

    def _freed(self, size: int) -> None:
        self._alive -= size


class _Release:
    """Calls a function when it is deleted, together with its key in a weak dictionary."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def __del__(self) -> None:
        self._call()


def _has_data(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type == "meta" and value.dim() > 0


def _touched(tensor: torch.Tensor) -> int:
    """Bytes of a tensor that a kernel reads or writes; repeated elements count once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * int(np.prod([n for n, stride in sizes if stride]))


class _AsOnGpu(TorchFunctionMode):
    """Casts, dropout and masked attention as on a GPU in bf16."""

    def __init__(self) -> None:
        super().__init__()
        self._cast_weights: dict[int, torch.Tensor] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is _F.dropout:
            return _dropout(*args, **kwargs)
        if function is _F.scaled_dot_product_attention or function in _PRODUCTS:
            args = [self._cast(value) for value in args]
            kwargs = {name: self._cast(value) for name, value in kwargs.items()}
            if function is _F.scaled_dot_product_attention:
                return _attention(*args, **kwargs)
        return function(*args, **kwargs)

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """The same for a block that is traced: it casts its weights itself."""
        outer, self._cast_weights = self._cast_weights, {}
        try:
            yield
        finally:
            self._cast_weights = outer

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return value
        if not isinstance(value, torch.nn.Parameter):
            return value.to(torch.bfloat16)
        if id(value) not in self._cast_weights:
            self._cast_weights[id(value)] = value.to(torch.bfloat16)
        return self._cast_weights[id(value)]


def _dropout(
    states: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> torch.Tensor:
    if not training or p == 0:
        return states
    return torch.native_dropout(states, p, True)[0]


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **others: Any,
) -> torch.Tensor:
    """The memory-efficient kernel, which torch takes for a mask with or without gradient."""
    bias = attn_mask
    if bias is not None:
        if bias.dtype == torch.bool:
            hidden = query.new_full((), float("-inf"))
            bias = torch.where(bias, query.new_zeros(()), hidden)
        if bias.shape[-1] % 8:  # torch pads masks to the kernel's alignment
            bias = _F.pad(bias, (0, -bias.shape[-1] % 8))[..., : bias.shape[-1]]
        bias = bias.expand(*query.shape[:3], key.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(  # type: ignore[no-any-return]
        query, key, value, bias, True, dropout_p, is_causal, scale=scale
    )[0]


def masked_log_likelihoods(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """As `log_likelihoods`, whose gradient torch does not trace on the device `meta`.

    Compiled, both are the same kernels.
    """
    others = torch.arange(logits.shape[1], device=logits.device) != tokens[:, None]
    return logits.float().log_softmax(-1).masked_fill(others, 0.0).sum(1)


@contextmanager
def as_on_gpu() -> Iterator[None]:
    """Let the code of training choose what it chooses on a GPU with flash attention."""
    plain = torch.is_autocast_enabled

    def enabled(device: str | None = None) -> bool:
        return False if device == "meta" else plain(device)

    with (
        mock.patch.object(flat, "has_kernel", lambda device: True),
        mock.patch("lamini.training.ways.has_kernel", lambda device: True),
        mock.patch.object(torch, "is_autocast_enabled", enabled),
    ):
        yield


def meta_model(config: dict[str, Any]) -> Any:
    """A model without data, with the modules that training replaces on a GPU."""
    made = AutoConfig.for_model(**config)
    kind = AutoModelForSeq2SeqLM if made.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(made, dtype=torch.float32).train()
        if config.get("tie_word_embeddings") is False:
            separate_head(model)
    fuse_activations(model)
    align_head(model.get_output_embeddings())
    return model


def count(
    loss: Callable[[Callable[..., Any]], torch.Tensor], blocks: Sequence[torch.nn.Module] | None
) -> Counts:
    """Count the kernels of a micro-batch.

    Args:
        loss: computes the loss from tensors on the device `meta`, with the function given for the
            log-likelihoods.
        blocks: transformer blocks that are compiled, as the log-likelihoods then are; None:
            nothing is compiled.
    """
    counting = _Counting()
    as_gpu = _AsOnGpu()
    likelihoods: Callable[..., Any] = log_likelihoods
    if blocks is not None:
        likelihoods = as_compiled(masked_log_likelihoods, as_gpu.fresh, counting)
        for block in blocks:
            run_block_as_compiled(block, as_gpu.fresh, counting)
    with as_on_gpu(), compiler_for_meta(), counting:
        with as_gpu:
            computed = loss(likelihoods)
        counting.counts.forward = len(counting.counts.flops)
        computed.backward()
    return counting.counts
