"""Log-likelihoods of continuations, without repeated computation of equal tokens.

| way | a row holds |
|---|---|
| `shared` | several requests: a trie of them (`tries`), or all continuations of a context, masked |
| `rows` | one sequence and padding |
| `alone` | one sequence, in the model's own forward pass |

Each context of an encoder-decoder is encoded once. The output head, whose cost grows with the
vocabulary, is applied only to the hidden states that predict scored tokens. At the start of a task,
a proof finds the ways that are correct for the model (`forward.proof`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutput

from lamini.errors import LaminiError
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.tries import MAX_TOKENS, Row, build_rows
from lamini.forward.masks import ancestor_mask, as_attention_mask, segment_mask
from lamini.forward.own import log_likelihoods, own_logits, position_limits, start_token
from lamini.forward.states import head_logits, last_states
from lamini.students.token_cache import Integers

LOGITS_AT_ONCE = 2**26
"""Maximum number of logits in memory at a time: 256 MiB in fp32."""
MAX_PADDING = 1 / 16
"""Maximum padding of a batch, as a share of its token budget: about the fixed cost of a batch."""
Score = tuple[float, bool]
"""Log-likelihood in nats, and whether the continuation is the greedy one."""
Way = Literal["shared", "rows", "alone"]
WAYS: tuple[Way, ...] = ("shared", "rows", "alone")
"""All ways, the fastest first."""
Answer = tuple[torch.Tensor, torch.Tensor]
"""Log-likelihood of each token of a continuation, and whether it is the most likely. Shape (T,)."""


@dataclass
class Scorer:
    """Scoring of continuations with one model.

    Args:
        model: a Hugging Face model with a language-model head, in evaluation mode.
        tokens_per_batch: padded tokens computed at once.
    """

    model: Any
    tokens_per_batch: int

    def score(
        self,
        requests: Sequence[TokenRequest],
        way: Way = "shared",
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
        way: Way = "shared",
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Answer]:
        """Log-likelihood and greediness of each token of each request, on the CPU."""
        answers: dict[int, Answer] = {}
        for numbers, part in self._batches(requests, way):
            answers |= zip(numbers, part, strict=True)
            advance(len(numbers))
        return [answers[number] for number in range(len(requests))]

    def _batches(
        self, requests: Sequence[TokenRequest], way: Way
    ) -> Iterator[tuple[list[int], list[Answer]]]:
        if way == "alone":
            return (([n], [_alone(self.model, r)]) for n, r in enumerate(requests))
        if self.model.config.is_encoder_decoder:
            return self._encoder_decoder(requests, way)
        return self._causal(requests, way)

    # --- Decoder-only -----------------------------------------------------------------------------

    def _causal(
        self, requests: Sequence[TokenRequest], way: Way
    ) -> Iterator[tuple[list[int], list[Answer]]]:
        # Some families use the index in the row as position: rows must fit the model's positions.
        _, limit = position_limits(self.model)
        most = min(MAX_TOKENS, limit or MAX_TOKENS)
        rows = build_rows(requests, shared=way == "shared", most=most)
        # Rows without branches need no mask, so they use the faster causal attention kernels.
        for part in ([r for r in rows if not r.branched], [r for r in rows if r.branched]):
            batches = _cut(part, [len(row.tokens) for row in part], self.tokens_per_batch)
            for batch in batches:
                numbers = [number for row in batch for number in row.requests]
                yield numbers, _halving(batch, lambda rows: self._causal_batch(rows, requests))

    def _causal_batch(self, rows: list[Row], requests: Sequence[TokenRequest]) -> list[Answer]:
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
        inputs: dict[str, Any] = {"input_ids": torch.as_tensor(tokens, device=device)}
        if any(row.branched for row in rows):
            positions = torch.as_tensor(depths, device=device)
            seen = ancestor_mask(torch.as_tensor(ends, device=device))
            inputs["position_ids"] = positions
            inputs["attention_mask"] = as_attention_mask(seen, self.model)
            with _local_attention(self.model, positions):
                states = last_states(self.model, **inputs, use_cache=False)
        else:
            states = last_states(self.model, **inputs, use_cache=False)
        return _read_log_likelihoods(self.model, states.flatten(0, 1), nodes, targets)

    # --- Encoder-decoder --------------------------------------------------------------------------

    def _encoder_decoder(
        self, requests: Sequence[TokenRequest], way: Way
    ) -> Iterator[tuple[list[int], list[Answer]]]:
        contexts = sorted(
            by_context(requests).values(),
            key=lambda g: (-len(requests[g[0]].context), -len(g), g[0]),
        )
        lengths = [
            len(requests[group[0]].context) + sum(len(requests[n].continuation) for n in group)
            for group in contexts
        ]
        for batch in _cut(contexts, lengths, self.tokens_per_batch):
            numbers = [number for group in batch for number in group]
            yield (
                numbers,
                _halving(batch, lambda g: self._encoder_decoder_batch(g, requests, way)),
            )

    def _encoder_decoder_batch(
        self, groups: list[list[int]], requests: Sequence[TokenRequest], way: Way
    ) -> list[Answer]:
        """Score groups of requests with equal contexts, each context encoded once.

        The decoder gets one row per context (`shared`), or one row per continuation (`rows`). In a
        shared row, each continuation is a segment that attends only to itself. Its index in the row
        does not matter if positions are relative (T5).
        """
        device, start = self.model.device, start_token(self.model)
        encoder, encoder_mask = _padded([requests[g[0]].context for g in groups], fill=start)
        mask = torch.as_tensor(encoder_mask, device=device)
        encoded = self.model.get_encoder()(
            input_ids=torch.as_tensor(encoder, device=device), attention_mask=mask
        )
        inputs: dict[str, Any] = {"encoder_outputs": encoded, "attention_mask": mask}
        rows = [[requests[number].continuation for number in group] for group in groups]
        if way == "rows":
            row_of = torch.as_tensor(np.repeat(np.arange(len(rows)), [len(r) for r in rows]))
            states = encoded.last_hidden_state[row_of.to(device)]
            inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=states)
            inputs["attention_mask"] = mask[row_of.to(device)]
            rows = [[continuation] for row in rows for continuation in row]
        fed = [[np.concatenate([[start], c[:-1]]) for c in row] for row in rows]
        decoder, _ = _padded([np.concatenate(row) for row in fed], fill=start)
        inputs["decoder_input_ids"] = torch.as_tensor(decoder, device=device)
        if way == "shared":
            of_rows = [np.repeat(np.arange(len(row)), [len(c) for c in row]) for row in fed]
            segments = torch.as_tensor(_padded(of_rows, fill=-1)[0], device=device)
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
        return _read_log_likelihoods(self.model, states.flatten(0, 1), nodes, targets)


def by_context(requests: Sequence[TokenRequest]) -> dict[bytes, list[int]]:
    """Indices of the requests of each context."""
    groups: dict[bytes, list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(request.context.tobytes(), []).append(number)
    return groups


def _alone(model: Any, request: TokenRequest) -> Answer:
    logits = own_logits(model, request.context, request.continuation)
    wanted = torch.as_tensor(request.continuation, device=logits.device)
    return log_likelihoods(logits, wanted).cpu(), (logits.argmax(dim=-1) == wanted).cpu()


def _padded(rows: Sequence[Integers], fill: int) -> tuple[Integers, Integers]:
    """Rows of unequal length, padded to one array, and their mask. Shape (B, longest) each."""
    shape = (len(rows), max(map(len, rows)))
    padded, mask = np.full(shape, fill), np.zeros(shape, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)], mask[number, : len(row)] = row, 1
    return padded, mask


def _cut(items: list[Any], lengths: list[int], budget: int) -> Iterator[list[Any]]:
    """Batches of consecutive items with a padded size within the budget; one item may exceed it.

    A batch also ends when more padding would cost more than another batch.
    """
    batch: list[Any] = []
    longest = tokens = 0
    for item, length in zip(items, lengths, strict=True):
        padded = max(longest, length) * (len(batch) + 1)
        padding = padded - tokens - length
        if batch and (padded > budget or padding > MAX_PADDING * budget):
            yield batch
            batch, longest, tokens = [], 0, 0
        batch.append(item)
        longest = max(longest, length)
        tokens += length
    if batch:
        yield batch


def _halving(batch: list[Any], compute: Callable[[list[Any]], list[Answer]]) -> list[Answer]:
    """Compute a batch; if it does not fit into memory, compute its halves."""
    try:
        return compute(batch)
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            raise LaminiError(
                "the GPU's memory is too small for the model and its longest example; use a"
                " larger GPU, or set `evaluation.precision: bf16`"
            ) from error
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    return _halving(batch[:middle], compute) + _halving(batch[middle:], compute)


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


def _read_log_likelihoods(
    model: Any, states: torch.Tensor, nodes: list[Integers], targets: list[Integers]
) -> list[Answer]:
    """Log-likelihoods of target tokens from the hidden states that predict them.

    Args:
        model: the model, for its output head.
        states: hidden states. Shape (S, width).
        nodes: for each request, indices of the states that predict its tokens.
        targets: for each request, its target tokens.
    """
    distinct, places = np.unique(np.concatenate(nodes), return_inverse=True)
    wanted = torch.as_tensor(np.concatenate(targets), device=states.device)
    place = torch.as_tensor(places, device=states.device)
    chosen = states[torch.as_tensor(distinct, device=states.device)]
    likelihoods = torch.empty(len(wanted), dtype=torch.float32, device=states.device)
    greedy = torch.empty(len(wanted), dtype=torch.bool, device=states.device)
    step = max(1, LOGITS_AT_ONCE // model.get_input_embeddings().weight.shape[0])
    for start in range(0, len(chosen), step):
        logits = head_logits(model, chosen[start : start + step]).float()
        here = ((place >= start) & (place < start + step)).nonzero()[:, 0]
        at, token = place[here] - start, wanted[here]
        likelihoods[here] = logits[at, token] - logits.logsumexp(dim=1)[at]
        greedy[here] = logits.argmax(dim=1)[at] == token
    lengths = [len(target) for target in targets]
    return list(zip(likelihoods.cpu().split(lengths), greedy.cpu().split(lengths), strict=True))
