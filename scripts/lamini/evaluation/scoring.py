"""Log-likelihoods of continuations, without repeated computation of equal tokens.

| way | a row holds |
|---|---|
| `shared` | several requests: a trie of them (`tries`), or all continuations of a context, masked |
| `rows` | one sequence and padding |
| `alike` | one sequence; a batch holds sequences of equal length, in the model's own forward pass |
| `alone` | one sequence; a batch holds one row, in the model's own forward pass |

Each context of an encoder-decoder is encoded once in the first two ways. Their output head,
whose cost grows with the vocabulary, is applied only to the hidden states that predict scored
tokens. At the start of a task, a proof finds the ways that are correct for the model
(`forward.proof`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutput

from lamini.arrays import Integers
from lamini.evaluation.batches import Batching, OnItsWay, one_behind, padded_size, to_device
from lamini.evaluation.likelihoods import (
    BatchLikelihoods,
    TokenLikelihoods,
    read_log_likelihoods,
    rows_of_logits,
)
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.tries import MAX_TOKENS, TrieRow, build_rows
from lamini.forward.masks import ancestor_mask, as_attention_mask, segment_mask
from lamini.forward.own import (
    batch_logits,
    end_token,
    log_likelihoods,
    position_limits,
    start_token,
)
from lamini.forward.states import last_states
from lamini.training.micro_batches import MicroBatchCosts

CPU_TOKENS = 1_024
"""Padded tokens of a batch on a CPU: they fit its caches, twice as fast there as 16,384."""
Score = tuple[float, bool]
"""Log-likelihood in nats, and whether the continuation is the greedy one."""
ScoringWay = Literal["shared", "rows", "alike", "alone"]
WAYS: tuple[ScoringWay, ...] = ("shared", "rows", "alike", "alone")
"""All ways, the fastest first."""
Computed = Iterator[tuple[list[int], BatchLikelihoods]]
"""Indices of the requests of each batch, and their log-likelihoods."""


@dataclass
class Scorer:
    """Scoring of continuations with one model.

    Args:
        model: a Hugging Face model with a language-model head, in evaluation mode.
        tokens_per_batch: padded tokens computed at once; null: `CPU_TOKENS`, or measured on a GPU.
            Fewer if they do not fit into the memory.
    """

    model: Any
    tokens_per_batch: int | None = None

    def __post_init__(self) -> None:
        self._batching = Batching(self.model.device, CPU_TOKENS, self.tokens_per_batch)

    def score(
        self,
        requests: Sequence[TokenRequest],
        way: ScoringWay = "shared",
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Score]:
        """Log-likelihood of each request and whether it is the greedy continuation, in order.

        Args:
            requests: requests in tokens of the model.
            way: way of computation, one of `WAYS`.
            advance: called with the number of requests scored since its last call.

        Raises:
            LaminiError: if a single row does not fit into the memory of the device.
        """
        return [
            (float(likelihoods.double().sum()), bool(greedy.all()))
            for likelihoods, greedy in self.answers(requests, way, advance)
        ]

    @torch.inference_mode()
    def answers(
        self,
        requests: Sequence[TokenRequest],
        way: ScoringWay = "shared",
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[TokenLikelihoods]:
        """Log-likelihood and greediness of each token of each request, on the CPU."""
        answers: dict[int, TokenLikelihoods] = {}
        for numbers, part in one_behind(self._batches(requests, way)):
            answers |= zip(numbers, part.read(), strict=True)
            advance(len(numbers))
        return [answers[number] for number in range(len(requests))]

    def _batches(self, requests: Sequence[TokenRequest], way: ScoringWay) -> Computed:
        if way in ("alike", "alone"):
            return self._own_forward(requests, way)
        if self.model.config.is_encoder_decoder:
            return self._encoder_decoder(requests, way)
        return self._causal(requests, way)

    # --- The model's own forward pass -------------------------------------------------------------

    def _own_forward(self, requests: Sequence[TokenRequest], way: ScoringWay) -> Computed:
        shapes = [_shape(self.model, request) for request in requests]
        order = sorted(range(len(requests)), key=lambda n: (-sum(shapes[n]), shapes[n], n))
        most = rows_of_logits(self.model)

        def compute(numbers: Sequence[int]) -> BatchLikelihoods:
            chosen = [requests[number] for number in numbers]
            logits = batch_logits(self.model, [(r.context, r.continuation) for r in chosen])
            targets = [to_device(r.continuation, self.model.device) for r in chosen]
            parts = list(zip(logits, targets, strict=True))
            likelihoods = torch.cat([log_likelihoods(*part) for part in parts])
            greedy = torch.cat([one.argmax(dim=-1) == target for one, target in parts])
            return BatchLikelihoods(
                OnItsWay(likelihoods, greedy), [len(target) for target in targets]
            )

        # One shape after another: a batch holds sequences of one shape.
        groups: dict[tuple[int, ...], list[int]] = {}
        for number in order:
            groups.setdefault(shapes[number], []).append(number)
        for shape, group in groups.items():
            length = sum(shape)

            def size(lengths: Sequence[int], costs: MicroBatchCosts) -> int:
                fitting = min(costs.budget, most) // lengths[0]
                return min(len(lengths), max(1, fitting)) if way == "alike" else 1

            for numbers, answers in self._batching.computed(
                group, [length] * len(group), size, compute
            ):
                yield list(numbers), answers

    # --- Decoder-only -----------------------------------------------------------------------------

    def _causal(self, requests: Sequence[TokenRequest], way: ScoringWay) -> Computed:
        # Some families use the index in the row as position: rows must fit the model's positions.
        _, limit = position_limits(self.model)
        most = min(MAX_TOKENS, limit or MAX_TOKENS)
        rows = build_rows(requests, shared=way == "shared", most=most)
        # Rows without branches need no mask, so they use the faster causal attention kernels.
        for part in ([r for r in rows if not r.branched], [r for r in rows if r.branched]):
            lengths = [len(row.tokens) for row in part]
            for batch, answers in self._batching.computed(
                part, lengths, padded_size, lambda rows: self._causal_batch(rows, requests)
            ):
                yield [number for row in batch for number in row.requests], answers

    def _causal_batch(
        self, rows: Sequence[TrieRow], requests: Sequence[TokenRequest]
    ) -> BatchLikelihoods:
        device, longest = self.model.device, max(len(row.tokens) for row in rows)
        tokens, depths = (np.zeros((len(rows), longest), dtype=np.int64) for _ in range(2))
        # The interval of a padding token covers only itself, so it is no ancestor of other tokens.
        ends = np.tile(np.arange(1, longest + 1), (len(rows), 1))
        nodes, targets = [], []
        for number, row in enumerate(rows):
            size = len(row.tokens)
            tokens[number, :size], depths[number, :size] = row.tokens, row.depths
            ends[number, :size] = row.ends
            nodes += [scored + number * longest for scored in row.nodes]
            targets += [requests[request].continuation for request in row.requests]
        inputs: dict[str, Any] = {"input_ids": to_device(tokens, device)}
        if any(row.branched for row in rows):
            positions = to_device(depths, device)
            seen = ancestor_mask(to_device(ends, device))
            inputs["position_ids"] = positions
            inputs["attention_mask"] = as_attention_mask(seen, self.model)
            with _local_attention(self.model, positions):
                states = last_states(self.model, **inputs, use_cache=False)
        else:
            states = last_states(self.model, **inputs, use_cache=False)
        return read_log_likelihoods(self.model, states.flatten(0, 1), nodes, targets)

    # --- Encoder-decoder --------------------------------------------------------------------------

    def _encoder_decoder(self, requests: Sequence[TokenRequest], way: ScoringWay) -> Computed:
        def length(group: list[int]) -> int:
            """Tokens of a context and its continuations."""
            context = requests[group[0]].context
            return len(context) + sum(len(requests[number].continuation) for number in group)

        contexts = sorted(
            by_context(requests).values(),
            key=lambda g: (-len(requests[g[0]].context), -len(g), g[0]),
        )
        for batch, answers in self._batching.computed(
            contexts,
            [length(group) for group in contexts],
            padded_size,
            lambda groups: self._encoder_decoder_batch(groups, requests, way),
        ):
            yield [number for group in batch for number in group], answers

    def _encoder_decoder_batch(
        self, groups: Sequence[list[int]], requests: Sequence[TokenRequest], way: ScoringWay
    ) -> BatchLikelihoods:
        """Score groups of requests with equal contexts, each context encoded once.

        The decoder gets one row per context (`shared`), or one row per continuation (`rows`). In a
        shared row, each continuation is a segment that attends only to itself. Its index in the row
        does not matter if positions are relative (T5).
        """
        device, start = self.model.device, start_token(self.model)
        encoder, encoder_mask = _padded([requests[g[0]].context for g in groups], fill=start)
        mask = to_device(encoder_mask, device)
        encoded = self.model.get_encoder()(
            input_ids=to_device(encoder, device), attention_mask=mask
        )
        inputs: dict[str, Any] = {"encoder_outputs": encoded, "attention_mask": mask}
        rows = [[requests[number].continuation for number in group] for group in groups]
        if way == "rows":
            row_of = to_device(np.repeat(np.arange(len(rows)), [len(r) for r in rows]), device)
            states = encoded.last_hidden_state[row_of]
            inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=states)
            inputs["attention_mask"] = mask[row_of]
            rows = [[continuation] for row in rows for continuation in row]
        fed = [[np.concatenate([[start], c[:-1]]) for c in row] for row in rows]
        decoder, _ = _padded([np.concatenate(row) for row in fed], fill=start)
        inputs["decoder_input_ids"] = to_device(decoder, device)
        if way == "shared":
            of_rows = [np.repeat(np.arange(len(row)), [len(c) for c in row]) for row in fed]
            segments = to_device(_padded(of_rows, fill=-1)[0], device)
            seen = segment_mask(segments, segments, causal=True)
            inputs["decoder_attention_mask"] = as_attention_mask(seen, self.model)
        nodes, targets = [], []
        for number, row in enumerate(rows):
            at = number * decoder.shape[1]
            for continuation in row:
                nodes.append(np.arange(at, at + len(continuation)))
                targets.append(continuation)
                at += len(continuation)
        states = last_states(self.model, **inputs, use_cache=False)
        return read_log_likelihoods(self.model, states.flatten(0, 1), nodes, targets)


def by_context(requests: Sequence[TokenRequest]) -> dict[bytes, list[int]]:
    """Indices of the requests of each context."""
    groups: dict[bytes, list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(request.context.tobytes(), []).append(number)
    return groups


def _shape(model: Any, request: TokenRequest) -> tuple[int, ...]:
    """Shape of a request's inputs in the model's own forward pass."""
    context, continuation = len(request.context), request.continuation
    if not model.config.is_encoder_decoder:
        return (context + len(continuation) - 1,)
    return context, len(continuation) + int(continuation[-1] != end_token(model))


def _padded(rows: Sequence[Integers], fill: int) -> tuple[Integers, Integers]:
    """Rows of unequal length, padded to one array, and their mask. Shape (B, longest) each."""
    shape = (len(rows), max(map(len, rows)))
    padded, mask = np.full(shape, fill), np.zeros(shape, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)], mask[number, : len(row)] = row, 1
    return padded, mask


@contextlib.contextmanager
def _local_attention(model: Any, positions: torch.Tensor) -> Iterator[None]:
    """Make GPT-Neo's local attention use distances between positions, not between row indices.

    Each attention module keeps its causal mask in a buffer `bias`; the context manager replaces the
    buffer and restores it at the end.
    """
    if model.config.model_type != "gpt_neo":
        yield
        return
    distances = positions[:, :, None] - positions[:, None, :]
    near = (distances < model.config.window_size)[:, None]
    modules = [block.attn.attention for block in model.base_model.h]
    kept = [module.bias for module in modules]
    try:
        for module in modules:
            module.bias = near if module.attention_type == "local" else torch.ones_like(near)
        yield
    finally:
        for module, bias in zip(modules, kept, strict=True):
            module.bias = bias
