"""Batches of sequences by the memory and speed of the device, for scoring and for generation.

On a GPU, the size of a batch is measured as that of a micro-batch in training
(`training.micro_batches`). A batch that does not fit into the memory is halved, and later batches
have the smaller size. The results of a batch are read after the next batch was started, so the CPU
prepares batches while the GPU computes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch

from lamini.errors import LaminiError
from lamini.training.micro_batches import MicroBatchCosts, measure_costs

logger = logging.getLogger("lamini")
T = TypeVar("T")
BatchResult = TypeVar("BatchResult")
PADDING = 16
"""If the size of a batch is given, a sixteenth of it may be padding: about its fixed cost."""


@dataclass
class Batching:
    """Sizes of batches on one device.

    Args:
        device: device that computes.
        cpu: padded tokens of a batch on a CPU.
        tokens: padded tokens of a batch on any device; null: `cpu`, or measured on a GPU.
    """

    device: torch.device
    cpu: int
    tokens: int | None = None
    _costs: dict[int, MicroBatchCosts] = field(default_factory=dict)

    def computed(
        self,
        items: Sequence[T],
        lengths: Sequence[int],
        size: Callable[[Sequence[int], MicroBatchCosts], int],
        compute: Callable[[Sequence[T]], BatchResult],
        sample: Callable[[int], int] | None = None,
    ) -> Iterator[tuple[Sequence[T], BatchResult]]:
        """Compute items in batches.

        Args:
            items: items, about the longest first.
            lengths: tokens of each item.
            size: number of items in the next batch, from the lengths of the remaining items.
            compute: computes a batch.
            sample: computes about so many tokens to measure a GPU, and returns their number with
                padding; None: computes some of the items.

        Yields:
            Batches of consecutive items, with their result.

        Raises:
            LaminiError: if a single item does not fit into the memory of the device.
        """
        longest, start = max(lengths, default=0), 0

        def some(tokens: int) -> int:
            count = max(1, tokens // longest)
            compute([items[number % len(items)] for number in range(count)])
            return count * longest

        while start < len(items):
            count = size(lengths[start:], self._costs_of(longest, sample or some))
            batch = items[start : start + count]
            try:
                result = compute(batch)
            except torch.OutOfMemoryError as error:
                if count == 1:
                    raise LaminiError(
                        "the memory is too small for the model and its longest text; use a larger"
                        " GPU, or set `precision: bf16` (of `evaluation` or `answers`)"
                    ) from error
            else:
                start += count
                yield batch, result
                continue
            self._halve(longest, max(lengths[start : start + count]) * count)

    def _costs_of(self, longest: int, sample: Callable[[int], int]) -> MicroBatchCosts:
        """Size and fixed cost of batches, measured once on a GPU.

        Memory for attention grows faster than the length of a sequence, so sequences that are twice
        as long are measured again.
        """
        kind = longest.bit_length()
        if kind not in self._costs:
            tokens = self.tokens or (self.cpu if self.device.type == "cpu" else None)
            self._costs[kind] = (
                _measured(sample, self.device, longest)
                if tokens is None
                else MicroBatchCosts(tokens, tokens // PADDING)
            )
        return self._costs[kind]

    def _halve(self, longest: int, tokens: int) -> None:
        """Halve the size of the batches after a batch of so many tokens did not fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        kind = longest.bit_length()
        smaller = min(tokens, self._costs[kind].budget) // 2
        self._costs[kind] = replace(self._costs[kind], budget=smaller)
        logger.warning(
            "out of memory; from now on with at most %s tokens per batch", f"{smaller:,}"
        )


def _measured(sample: Callable[[int], int], device: torch.device, longest: int) -> MicroBatchCosts:
    try:
        return measure_costs(sample, device, reserved=0)
    except torch.OutOfMemoryError:  # not even a small batch fits: one sequence at a time
        return MicroBatchCosts(longest, longest)


def padded_size(lengths: Sequence[int], costs: MicroBatchCosts) -> int:
    """Number of rows in the next batch, which are padded to one length.

    A batch also ends when more padding would cost more than another batch.
    """
    longest = tokens = 0
    for count, length in enumerate(lengths):
        longest = max(longest, length)
        tokens += length
        padded = longest * (count + 1)
        if count and (padded > costs.budget or padded - tokens > costs.overhead):
            return count
    return len(lengths)


def one_behind(results: Iterable[BatchResult]) -> Iterator[BatchResult]:
    """The same results, each after the next one was computed."""
    waiting: list[BatchResult] = []
    for result in results:
        waiting.append(result)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


def to_device(values: Any, device: torch.device) -> torch.Tensor:
    """Copy an array to a device; the CPU does not wait for a GPU."""
    tensor = torch.as_tensor(np.asarray(values))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class OnItsWay:
    """Tensors that are copied to the CPU as soon as they are computed.

    Args:
        tensors: tensors of one device.
    """

    def __init__(self, *tensors: torch.Tensor) -> None:
        self._copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._arrived = None
        if tensors[0].device.type == "cuda":
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> list[torch.Tensor]:
        """Wait for the copies and return them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._copies
