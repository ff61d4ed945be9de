"""Kernels of compiled transformer blocks on a GPU, counted without one.

torch's own compiler decides which operators become one kernel. Here it does so for tensors without
data (device `meta`), with its rules for Triton and the properties of an A100: each block is traced
with its backward pass, partitioned, lowered and scheduled as by `torch.compile`, but no code is
made. Each scheduled node is one kernel.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from unittest import mock

import torch
from torch._dynamo.utils import detect_fake_mode
from torch._functorch.aot_autograd import aot_function, make_boxed_func
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor import compile_fx, config, graph, ir, pattern_matcher
from torch._inductor.codegen.common import register_backend_for_device
from torch._inductor.codegen.triton import TritonScheduling
from torch._inductor.codegen.wrapper import PythonWrapperCodegen
from torch._inductor.debug import DebugContext
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.runtime.hints import DeviceProperties
from torch._inductor.virtualized import V
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten
from torch.utils.flop_counter import flop_registry

_A100 = DeviceProperties(
    type="cuda",
    index=0,
    multi_processor_count=108,
    cc=80,
    regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    warp_size=32,
)


@dataclass(frozen=True)
class Kernel:
    """A kernel of a compiled graph, or several that one operator starts."""

    name: str
    """Operator of a matrix product or of attention; empty for kernels that the compiler makes."""
    flops: float
    """Floating-point operations; 0 except for matrix products and attention."""
    bytes: float
    """Bytes that it reads and writes."""


class Counting(Protocol):
    """Counts kernels."""

    def paused(self) -> AbstractContextManager[None]:
        """Operators that run inside are not counted."""

    def add_graph(self, kernels: Sequence[Kernel], results: Any) -> None:
        """Count the kernels of a graph, which made these tensors."""


@contextmanager
def compiler_for_meta() -> Iterator[None]:
    """Let torch's compiler treat the device `meta` as an A100."""
    register_backend_for_device("meta", TritonScheduling, PythonWrapperCodegen)
    supported = "fallback_node_due_to_unsupported_type"
    with (
        mock.patch.object(graph, supported, lambda *_, **__: False),
        mock.patch.object(pattern_matcher, supported, lambda *_, **__: False),
        mock.patch.object(DeviceProperties, "create", lambda device: _A100),
    ):
        yield


def run_block_as_compiled(
    block: torch.nn.Module,
    modes: Callable[[], AbstractContextManager[object]],
    counting: Counting,
) -> None:
    """Replace the `forward` of a block by one that runs as if compiled.

    Args:
        block: a module without data; it is called with tensors of one shape.
        modes: makes the context in which the block is traced.
        counting: counts the kernels of each pass.
    """
    plain = block.forward
    state = dict(block.named_parameters()) | dict(block.named_buffers())

    def traced(values: Any, arguments: Any, options: Any) -> Any:
        block.forward = plain
        try:
            return torch.func.functional_call(block, values, arguments, options)
        finally:
            block.forward = forward

    graph = as_compiled(traced, modes, counting)

    def forward(*arguments: Any, **options: Any) -> Any:
        return graph(state, arguments, options)

    block.forward = forward


def as_compiled(
    function: Callable[..., Any],
    modes: Callable[[], AbstractContextManager[object]],
    counting: Counting,
) -> Callable[..., Any]:
    """A function of tensors without data, always of one shape, that runs as if compiled."""
    graphs: list[Callable[..., Any]] = []

    def call(*arguments: Any) -> Any:
        leaves, structure = tree_flatten(arguments)
        indices = [n for n, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]

        def traced(*tensors: Any) -> Any:
            given = dict(zip(indices, tensors, strict=True))
            filled = [given.get(n, leaf) for n, leaf in enumerate(leaves)]
            with modes():
                return function(*tree_unflatten(filled, structure))

        if not graphs:
            graphs.append(_compiled(traced, counting))
        with counting.paused():
            return graphs[0](*(leaves[n] for n in indices))

    return call


def _compiled(traced: Callable[..., Any], counting: Counting) -> Callable[..., Any]:
    def compile_part(part: torch.fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        with counting.paused():
            kernels = _schedule(part, inputs)

        def run(*arguments: Any) -> Any:
            with counting.paused():
                results = part(*arguments)
            counting.add_graph(kernels, results)
            return results

        return make_boxed_func(run)  # type: ignore[no-any-return]

    return aot_function(  # type: ignore[no-any-return]
        traced,
        fw_compiler=compile_part,
        bw_compiler=compile_part,
        partition_fn=_partition,
        decompositions=select_decomp_table(),
    )


def _partition(joint: torch.fx.GraphModule, inputs: Sequence[Any], **options: Any) -> Any:
    # Folding of constants would replace the results, whose device is `meta`.
    with (
        V.set_fake_mode(detect_fake_mode(inputs)),
        config.patch(joint_graph_constant_folding=False),
    ):
        compile_fx._recursive_joint_graph_passes(joint)
    return min_cut_rematerialization_partition(joint, inputs, **options)


def _schedule(part: torch.fx.GraphModule, inputs: Sequence[Any]) -> list[Kernel]:
    with DebugContext(), V.set_fake_mode(detect_fake_mode(inputs)):
        compile_fx._recursive_post_grad_passes(part, is_inference=False)
        lowered = graph.GraphLowering(part)
        with V.set_graph_handler(lowered):
            lowered.run(*inputs)
            lowered._update_scheduler()
            return [
                Kernel(*_product(node.node), node.get_read_write_buffers_sizes())
                for node in lowered.scheduler.nodes
                if not isinstance(node.node, ir.MultiOutput)
            ]


def _product(kernel: Any) -> tuple[str, float]:
    """Name and operations of a matrix product or attention; nothing for other kernels."""
    for origin in getattr(kernel, "origins", ()) if isinstance(kernel, ir.ExternKernel) else ():
        formula = flop_registry.get(getattr(origin.target, "overloadpacket", None))
        if formula:
            arguments, options = tree_map_only(
                torch.fx.Node, lambda node: node.meta["val"], (origin.args, origin.kwargs)
            )
            name = origin.target._schema.name.removeprefix("aten::")
            return name, formula(*arguments, **options, out_val=origin.meta["val"])
    return "", 0.0
