"""Sums of gradients over ranks, computed while the last backward pass of a step still runs.

The parameters are grouped in buckets, in the order in which a backward pass completes their
gradients. As soon as the last micro-batch of a step has completed the gradients of a bucket, they
are copied into one flat tensor, and its sum over all ranks starts in the background. After the
backward pass only the sum of the last bucket is left to wait for.

With `shard_optimizer` each rank receives only its chunk of every sum (reduce-scatter), updates this
part of the weights, and sends it to the other ranks (all-gather). Moments, summed gradients and the
time of the optimizer are then divided by the number of ranks (ZeRO, Rajbhandari et al. 2020).
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from lamini.training.ranks import Ranks

BUCKET_ELEMENTS = 10_000_000
"""Largest size of a bucket, in fp32 numbers. A larger parameter is a bucket of its own."""

Parameters = dict[str, torch.nn.Parameter]


@dataclass(frozen=True)
class Piece:
    """Part of a parameter that this rank updates: all of it, unless the optimizer is sharded."""

    name: str
    """Name of the parameter."""
    start: int
    """Index of the first element in the flat parameter."""
    tensor: torch.Tensor
    """The weights, in the parameter's own memory; its `grad` is the gradient."""
    is_decayed: bool
    """Whether weight decay applies: not to biases, T5's relative position biases, norm weights, as
    in transformers' Trainer."""


class GradientSums:
    """Sums the gradients of each step over the ranks.

    All ranks start the sums of all buckets in the same order, also ranks without a micro-batch.

    Args:
        parameters: the trainable parameters by name, on the device of this rank; they stay there.
        ranks: the processes of the run.
        sharded: whether each rank receives, and updates, only its part.
    """

    def __init__(self, parameters: Parameters, ranks: Ranks, *, sharded: bool) -> None:
        self._parameters, self._ranks = parameters, ranks
        self.sharded = sharded and ranks.world > 1
        self.device = ranks.device
        self._buckets = _buckets(parameters, ranks, self.sharded) if ranks.world > 1 else []
        self._missing: list[int] = []
        self._started = 0
        for number, bucket in enumerate(self._buckets):
            for parameter in bucket.parameters.values():
                parameter.register_post_accumulate_grad_hook(
                    functools.partial(self._completed, number)
                )
        self.pieces = (
            [piece for bucket in self._buckets for piece in bucket.pieces]
            if self.sharded
            else [Piece(n, 0, p, _is_decayed(n, p)) for n, p in parameters.items()]
        )
        """The weights that this rank updates."""

    def begin_last_pass(self) -> None:
        """Sum gradients as soon as the next backward pass, the last of the step, completes them."""
        self._missing = [len(bucket.parameters) for bucket in self._buckets]

    def start_all(self) -> None:
        """Start the sums that have not started; each rank calls it after its last backward pass.

        A rank whose pass failed must call it too, because the others wait for its part.
        """
        self._missing = []
        while self._started < len(self._buckets):
            self._start_next()

    def discard(self) -> None:
        """Drop the gradients, and the sums if they have started."""
        if self._started:
            self.wait()
        self.clear()

    def wait(self) -> None:
        """Wait for the sums; afterwards each of `pieces` has its gradient, summed over ranks."""
        for bucket in self._buckets:
            bucket.finish()
        self._started = 0
        if not self._buckets:
            for parameter in self._parameters.values():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)

    def clip(self, largest: float) -> torch.Tensor:
        """Scale the gradients down to a norm of at most `largest`; returns the norm before.

        The norm is that of all parameters, and the same on all ranks.
        """
        tensors = [piece.tensor for piece in self.pieces]
        norm = torch.nn.utils.get_total_norm([t.grad for t in tensors if t.grad is not None])
        if self.sharded:
            norm = self._ranks.sum(norm.to(self._ranks.device, torch.float64).square()).sqrt()
            norm = norm.float()
        torch.nn.utils.clip_grads_with_norm_(tensors, largest, norm)
        return norm

    def share_weights(self) -> None:
        """Send the updated pieces of each rank to all ranks; only for a sharded optimizer."""
        for bucket in self._buckets:
            bucket.share_weights()

    def clear(self) -> None:
        """Drop the gradients."""
        for piece in self.pieces:
            piece.tensor.grad = None
        for parameter in self._parameters.values():
            parameter.grad = None

    def _completed(self, number: int, _: torch.Tensor) -> None:
        """Start the sums of all complete buckets, in order; called for each complete gradient."""
        if not self._missing:
            return
        self._missing[number] -= 1
        while self._started < len(self._buckets) and self._missing[self._started] == 0:
            self._start_next()

    def _start_next(self) -> None:
        self._buckets[self._started].start()
        self._started += 1


class _Bucket:
    """Parameters whose gradients are summed in one flat tensor.

    Args:
        parameters: the parameters by name, in the order of the flat tensor.
        ranks: the processes of the run.
        sharded: whether each rank receives only its chunk of the flat tensor, which is padded with
            zeros so that all chunks have the same length.
    """

    def __init__(self, parameters: Parameters, ranks: Ranks, *, sharded: bool) -> None:
        self.parameters = parameters
        self._sharded, self._world = sharded, ranks.world
        self._sizes = [parameter.numel() for parameter in parameters.values()]
        self._chunk = math.ceil(sum(self._sizes) / ranks.world)
        self._padding = self._chunk * ranks.world - sum(self._sizes)
        self.pieces = self._cut(ranks.rank * self._chunk) if sharded else []
        self._flat: torch.Tensor | None = None
        self._sum: torch.Tensor | None = None
        self._work: Any = None

    def _cut(self, first: int) -> list[Piece]:
        """Pieces in the chunk that begins with element `first` of the flat tensor."""
        pieces, at = [], 0
        for (name, parameter), size in zip(self.parameters.items(), self._sizes, strict=True):
            start, end = max(first - at, 0), min(first + self._chunk - at, size)
            if start < end:
                flat = parameter.detach().view(-1)
                pieces.append(Piece(name, start, flat[start:end], _is_decayed(name, parameter)))
            at += size
        return pieces

    def start(self) -> None:
        """Start the sum. The flat tensor replaces the gradients of this rank."""
        parts = []
        for parameter in self.parameters.values():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parts.append(gradient.flatten())
            parameter.grad = None
        if not self._sharded:
            self._flat = self._sum = torch.cat(parts)
            self._work = distributed.all_reduce(self._flat, async_op=True)
            return
        self._flat = torch.cat([*parts, parts[0].new_zeros(self._padding)])
        self._sum = self._flat.new_empty(self._chunk)
        self._work = distributed.reduce_scatter_single(self._sum, self._flat, async_op=True)

    def finish(self) -> None:
        """Wait for the sum, and make it the gradient of the parameters or of the pieces."""
        assert self._work is not None and self._sum is not None
        self._work.wait()
        targets: list[torch.Tensor] = [piece.tensor for piece in self.pieces]
        if not self._sharded:
            targets = list(self.parameters.values())
        used = sum(target.numel() for target in targets)
        parts = self._sum[:used].split([target.numel() for target in targets])
        for target, part in zip(targets, parts, strict=True):
            target.grad = part.view_as(target)
        self._flat = self._sum = self._work = None

    def share_weights(self) -> None:
        """Gather the weights of all chunks from their ranks."""
        mine = [piece.tensor for piece in self.pieces]
        missing = self._chunk - sum(piece.numel() for piece in mine)
        example = next(iter(self.parameters.values())).detach()
        chunk = torch.cat([*mine, example.new_zeros(missing)])
        whole = example.new_empty(self._chunk * self._world)
        distributed.all_gather_single(whole, chunk)
        parts = whole[: sum(self._sizes)].split(self._sizes)
        for parameter, part in zip(self.parameters.values(), parts, strict=True):
            parameter.detach().copy_(part.view_as(parameter))


def _is_decayed(name: str, parameter: torch.nn.Parameter) -> bool:
    return parameter.ndim > 1 and "bias" not in name


def _buckets(parameters: Parameters, ranks: Ranks, sharded: bool) -> list[_Bucket]:
    """Buckets in reverse order of the parameters, which is about the order of a backward pass."""
    groups: list[Parameters] = []
    size = BUCKET_ELEMENTS
    for name, parameter in reversed(parameters.items()):
        if size + parameter.numel() > BUCKET_ELEMENTS:
            groups.append({})
            size = 0
        groups[-1][name] = parameter
        size += parameter.numel()
    return [_Bucket(group, ranks, sharded=sharded) for group in groups]
