"""Log-likelihoods of continuations, each distinct piece of work done once.

Decoder-only models compute the rows of `tries`: shared prefixes once. Encoder-decoder models encode
each context once and decode all its continuations side by side in one row, kept apart by a mask.
The output head, whose cost grows with the vocabulary, sees scored states only.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lamini.errors import LaminiError
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.tries import Row, build_rows
from lamini.students.heads import output_logits
from lamini.students.token_cache import Integers
from lamini.training.batches import segment_mask

LOGITS_AT_ONCE = 2**26
"""Elements of the logits held at a time: 256 MiB in fp32."""
MOST_PADDING = 1 / 16
"""Of a batch, as a share of its budget: about what a batch costs beside its tokens."""
Score = tuple[float, bool]
"""Log-likelihood in nats, and whether greedy decoding would give the continuation."""


@dataclass
class Scorer:
    """Scores continuations with one model.

    Args:
        model: a Hugging Face model with a language-model head, in evaluation mode.
        architecture: of the model.
        tokens_per_batch: padded tokens computed at once.
    """

    model: Any
    architecture: str
    tokens_per_batch: int

    @torch.inference_mode()
    def score(
        self, requests: Sequence[TokenRequest], advance: Callable[[int], None] = lambda _: None
    ) -> list[Score]:
        """Score requests, in their order.

        Args:
            requests: in the model's tokens.
            advance: told how many requests were scored since the last call.

        Raises:
            LaminiError: when a single row does not fit into the device's memory.
        """
        scores: list[Score | None] = [None] * len(requests)
        score_all = self._causal if self.architecture == "decoder-only" else self._encoder_decoder
        for numbers, part in score_all(requests):
            for number, score in zip(numbers, part, strict=True):
                scores[number] = score
            advance(len(numbers))
        return [score for score in scores if score is not None]

    # --- Decoder-only -----------------------------------------------------------------------------

    def _causal(self, requests: Sequence[TokenRequest]) -> Iterator[tuple[list[int], list[Score]]]:
        rows = build_rows(requests)
        # Rows without branches need no mask, and so take the plain causal kernels.
        for part in ([r for r in rows if not r.branched], [r for r in rows if r.branched]):
            batches = _cut(part, [len(row.tokens) for row in part], self.tokens_per_batch)
            for batch in batches:
                numbers = [number for row in batch for number in row.requests]
                yield numbers, _halving(batch, lambda rows: self._causal_batch(rows, requests))

    def _causal_batch(self, rows: list[Row], requests: Sequence[TokenRequest]) -> list[Score]:
        device, longest = self.model.device, max(len(row.tokens) for row in rows)
        tokens, depths = (np.zeros((len(rows), longest), dtype=np.int64) for _ in range(2))
        # Padding ends at once, so that nothing but itself is its ancestor.
        ends = np.tile(np.arange(1, longest + 1), (len(rows), 1))
        nodes, targets = [], []
        for number, row in enumerate(rows):
            size = len(row.tokens)
            tokens[number, :size], depths[number, :size] = row.tokens, row.depths
            ends[number, :size] = row.ends
            nodes += [scored + number * longest for scored in row.nodes]
            targets += [requests[request].continuation for request in row.requests]
        inputs: dict[str, Any] = {"input_ids": torch.as_tensor(tokens, device=device)}
        positions = torch.as_tensor(depths, device=device)
        if any(row.branched for row in rows):
            mask = _ancestor_mask(torch.as_tensor(ends, device=device))
            states = _states_in_tries(self.model, inputs["input_ids"], positions, mask)
        else:
            states = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        return _read_off(self.model, states.flatten(0, 1), nodes, targets)

    # --- Encoder-decoder --------------------------------------------------------------------------

    def _encoder_decoder(
        self, requests: Sequence[TokenRequest]
    ) -> Iterator[tuple[list[int], list[Score]]]:
        groups: dict[bytes, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(request.context.tobytes(), []).append(number)
        contexts = sorted(
            groups.values(), key=lambda g: (-len(requests[g[0]].context), -len(g), g[0])
        )
        lengths = [
            len(requests[group[0]].context) + sum(len(requests[n].continuation) for n in group)
            for group in contexts
        ]
        for batch in _cut(contexts, lengths, self.tokens_per_batch):
            numbers = [number for group in batch for number in group]
            yield numbers, _halving(batch, lambda g: self._encoder_decoder_batch(g, requests))

    def _encoder_decoder_batch(
        self, groups: list[list[int]], requests: Sequence[TokenRequest]
    ) -> list[Score]:
        """Contexts in the encoder; in the decoder a row for each, its continuations as segments.

        T5's position bias depends on distances alone, so that a segment's place does not matter.
        """
        device, dtype = self.model.device, self.model.dtype
        start = self.model.config.decoder_start_token_id
        contexts = [requests[group[0]].context for group in groups]
        rows = [[requests[number].continuation for number in group] for group in groups]
        encoder, encoder_mask = _padded(contexts, fill=start)
        fed = [[np.concatenate([[start], c[:-1]]) for c in row] for row in rows]
        decoder, _ = _padded([np.concatenate(row) for row in fed], fill=start)
        segments, _ = _padded(
            [np.repeat(np.arange(len(row)), [len(c) for c in row]) for row in fed], fill=-1
        )
        nodes, targets = [], []
        for number, row in enumerate(rows):
            at = number * decoder.shape[1]
            for continuation in row:
                nodes.append(np.arange(at, at + len(continuation)))
                targets.append(continuation)
                at += len(continuation)
        mask = torch.as_tensor(encoder_mask, device=device)
        place = torch.as_tensor(segments, device=device)
        encoded = self.model.get_encoder()(
            input_ids=torch.as_tensor(encoder, device=device), attention_mask=mask
        )
        states = self.model.get_decoder()(
            input_ids=torch.as_tensor(decoder, device=device),
            attention_mask=segment_mask(place, place, dtype, causal=True),
            encoder_hidden_states=encoded.last_hidden_state,
            encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        return _read_off(self.model, states.flatten(0, 1), nodes, targets)


def _padded(rows: Sequence[Integers], fill: int) -> tuple[Integers, Integers]:
    """Rows of unequal length as one array, and where it holds something. Shape (B, longest)."""
    shape = (len(rows), max(map(len, rows)))
    padded, mask = np.full(shape, fill), np.zeros(shape, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)], mask[number, : len(row)] = row, 1
    return padded, mask


def _cut(items: list[Any], lengths: list[int], budget: int) -> Iterator[list[Any]]:
    """Batches of neighbours whose padded size is at most the budget; one item may be larger.

    A batch also ends before it holds more padding than one more batch would cost.
    """
    batch: list[Any] = []
    longest = tokens = 0
    for item, length in zip(items, lengths, strict=True):
        padded = max(longest, length) * (len(batch) + 1)
        padding = padded - tokens - length
        if batch and (padded > budget or padding > MOST_PADDING * budget):
            yield batch
            batch, longest, tokens = [], 0, 0
        batch.append(item)
        longest = max(longest, length)
        tokens += length
    if batch:
        yield batch


def _halving(batch: list[Any], compute: Callable[[list[Any]], list[Score]]) -> list[Score]:
    """Compute a batch; where memory does not suffice, in halves."""
    try:
        return compute(batch)
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            raise LaminiError(
                "the GPU's memory does not hold the model and its longest example; ask for a"
                " larger GPU, or set `evaluation.precision: bf16`"
            ) from error
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    return _halving(batch[:middle], compute) + _halving(batch[middle:], compute)


def _ancestor_mask(ends: torch.Tensor) -> torch.Tensor:
    """Which key is an ancestor of which query, or the query itself. Shape (B, N, N)."""
    nodes = torch.arange(ends.shape[1], device=ends.device)
    before = nodes[None, :] <= nodes[:, None]
    return before[None] & (nodes[None, :, None] < ends[:, None, :])


def _states_in_tries(
    model: Any, tokens: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Last hidden states of trie rows. Shape (B, N, width)."""
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=seen.device)
    mask = mask.masked_fill_(~seen, torch.finfo(model.dtype).min)[:, None]
    with _local_attention(model, positions):
        outputs = model.base_model(
            input_ids=tokens, position_ids=positions, attention_mask=mask, use_cache=False
        )
    states: torch.Tensor = outputs.last_hidden_state
    return states


@contextlib.contextmanager
def _local_attention(model: Any, positions: torch.Tensor) -> Iterator[None]:
    """Let GPT-Neo's local layers measure distance by position, not by place in the row.

    Each of its attention modules keeps which place may see which in a buffer `bias`; it is put
    back afterwards.
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


def _read_off(
    model: Any, states: torch.Tensor, nodes: list[Integers], targets: list[Integers]
) -> list[Score]:
    """Log-likelihoods from the states after which the targets are predicted.

    Args:
        model: for its output head.
        states: flat. Shape (S, width).
        nodes: for each request, the states that predict its tokens.
        targets: for each request, its tokens.
    """
    distinct, places = np.unique(np.concatenate(nodes), return_inverse=True)
    wanted = torch.as_tensor(np.concatenate(targets), device=states.device)
    place = torch.as_tensor(places, device=states.device)
    chosen = states[torch.as_tensor(distinct, device=states.device)]
    likelihoods = torch.empty(len(wanted), dtype=torch.float32, device=states.device)
    greedy = torch.empty(len(wanted), dtype=torch.bool, device=states.device)
    step = max(1, LOGITS_AT_ONCE // model.get_output_embeddings().weight.shape[0])
    for start in range(0, len(chosen), step):
        logits = output_logits(model, chosen[start : start + step]).float()
        here = ((place >= start) & (place < start + step)).nonzero()[:, 0]
        at, token = place[here] - start, wanted[here]
        likelihoods[here] = logits[at, token] - logits.logsumexp(dim=1)[at]
        greedy[here] = logits.argmax(dim=1)[at] == token
    lengths = [len(target) for target in targets]
    sums = [part.double().sum().item() for part in likelihoods.cpu().split(lengths)]
    all_greedy = [bool(part.all()) for part in greedy.cpu().split(lengths)]
    return list(zip(sums, all_greedy, strict=True))
