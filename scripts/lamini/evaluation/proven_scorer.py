"""Scoring in the fastest way that is proven correct for the model and the task's requests."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import CPU_TOKENS, WAYS, Score, Scorer, ScoringWay, by_context
from lamini.evaluation.tries import TrieRow, build_rows
from lamini.forward.own import position_limits
from lamini.forward.proof import Choice, Compute, Reference, proof_tokens


class ProvenScorer:
    """Scorer that chooses its way of computation by a proof.

    Args:
        name: name of the model in messages.
        model: a Hugging Face model with a language-model head, in evaluation mode.
        tokens_per_batch: padded tokens computed at once; null: measured on a GPU.
    """

    def __init__(self, name: str, model: Any, tokens_per_batch: int | None) -> None:
        self._name, self._model = name, model
        self._scorer = Scorer(model, tokens_per_batch)
        # In a proof the model is larger, in fp32: its memory is not that of the run.
        self._small_batches = Scorer(model, tokens_per_batch or CPU_TOKENS)
        self._proofs: list[tuple[int, int, Choice]] = []
        self.choice: Choice | None = None
        """Way of the last `score` call."""

    def score(
        self, requests: Sequence[TokenRequest], advance: Callable[[int], None] = lambda _: None
    ) -> list[Score]:
        """Log-likelihood of each request and whether it is the greedy continuation, in order.

        Args:
            requests: requests in tokens of the model.
            advance: called with the number of requests scored since its last call.

        Raises:
            LaminiError: if the model's own forward pass fails, or memory is too small.
        """
        self.choice = self._choose(requests)
        way: ScoringWay = self.choice.way  # type: ignore[assignment]
        return self._scorer.score(requests, way, advance)

    def _choose(self, requests: Sequence[TokenRequest]) -> Choice:
        """Choose the fastest correct way (`forward.proof`).

        The proof is repeated for longer requests, and for rows with a larger gap between row index
        and sequence position: attention may be limited to a window.
        """
        causal = not self._model.config.is_encoder_decoder
        sample = sample_to_prove(requests, causal, proof_tokens(self._model))
        longest = max(len(r.context) + len(r.continuation) for r in sample)
        gap = _gap(build_rows(sample))
        for proven_longest, proven_gap, choice in self._proofs:
            if longest <= proven_longest and gap <= proven_gap:
                return choice
        pairs = [(request.context, request.continuation) for request in sample]
        ways: dict[str, Compute] = {
            way: functools.partial(self._log_likelihoods, sample, way)
            for way in WAYS
            if way != "shared" or causal or self._fits(requests)
        }
        choice = Reference(self._name, self._model, pairs).choose(ways)
        self._proofs.append((longest, gap, choice))
        return choice

    def _fits(self, requests: Sequence[TokenRequest]) -> bool:
        """Whether all continuations of a context fit in one row of the decoder's positions.

        Positions beyond the limit cause a CUDA error after which the process can't use the GPU.
        """
        _, limit = position_limits(self._model)
        rows = by_context(requests).values()
        longest = max(sum(len(requests[n].continuation) for n in row) for row in rows)
        return limit is None or longest <= limit

    def _log_likelihoods(
        self, requests: Sequence[TokenRequest], way: ScoringWay
    ) -> list[torch.Tensor]:
        return [likelihoods for likelihoods, _ in self._small_batches.answers(requests, way)]


def sample_to_prove(
    requests: Sequence[TokenRequest], causal: bool, most: int
) -> list[TokenRequest]:
    """Requests to compare in a proof: the longest, the shortest, and some of one shared row.

    The shared row is the one with the largest gap between row index and sequence position, to
    detect a model that confuses the two. One more request has the lengths of the shortest one.

    Args:
        requests: requests of a task.
        causal: whether the model is decoder-only.
        most: maximum tokens of the compared requests, not counting the longest, the shortest, and
            the first and last request of the row.
    """
    lengths = np.array([len(r.context) + len(r.continuation) for r in requests])
    row = np.array(_widest_trie(requests) if causal else _widest_group(requests))
    others = row[np.cumsum(lengths[row]) <= most]
    numbers = [int(lengths.argmax()), int(lengths.argmin()), row[0], row[-1], *others]
    sample = [requests[number] for number in dict.fromkeys(map(int, numbers))]
    return [*sample, _of_equal_length(sample[0], requests[int(lengths.argmin())])]


def _of_equal_length(longest: TokenRequest, shortest: TokenRequest) -> TokenRequest:
    """Other tokens in the lengths of the shortest request: both form a batch without padding."""
    tokens = np.concatenate([longest.context, longest.continuation])
    split = len(tokens) - len(shortest.continuation)
    # The last token stays: an end token changes the length of an encoder-decoder's labels.
    continuation = np.append(tokens[split:-1], shortest.continuation[-1])
    return TokenRequest(tokens[split - len(shortest.context) : split], continuation)


def _widest_trie(requests: Sequence[TokenRequest]) -> list[int]:
    """Requests of the trie with the largest gap between row index and sequence position."""
    return max(build_rows(requests), key=lambda row: _gap([row])).requests


def _gap(rows: Sequence[TrieRow]) -> int:
    """Largest difference between a token's index in its row and its position in its sequence."""
    return max(int((np.arange(len(row.tokens)) - row.depths).max()) for row in rows)


def _widest_group(requests: Sequence[TokenRequest]) -> list[int]:
    """Requests of the context with the largest total length of continuations."""
    groups = by_context(requests).values()
    return max(groups, key=lambda group: sum(len(requests[n].continuation) for n in group))
