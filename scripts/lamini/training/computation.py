"""Losses and gradients of sets of pairs, computed in the fastest way verified for the model."""

import dataclasses
import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lamini.forward.proof import Reference, proof_tokens
from lamini.students.numerics import choose_precision
from lamini.students.token_cache import Integers, TokenCache
from lamini.training.activations import fuse_activations
from lamini.training.batches import Batch, make_batch, shared_prefix
from lamini.training.job import TrainingJob
from lamini.training.layout import MicroBatch, lay_out
from lamini.training.losses import token_losses
from lamini.training.optimization import autocast, protect_t5_from_overflow
from lamini.training.ranks import Ranks
from lamini.training.ways import Way, pairs_to_prove, ways_to_try


@dataclass(frozen=True)
class Sums:
    """Loss, tokens and padding share of a set of pairs, summed over ranks."""

    loss: float
    """Weighted sum of the token losses, nats."""
    tokens: int
    """Input tokens of all pairs; a shared prefix counts once per pair."""
    padding: float
    """Share of padding among the computed positions."""


class Computation:
    """Computes losses and gradients of sets of pairs with one model.

    The constructor chooses the way of computation (`forward.proof`). It also replaces modules of
    the model by equivalent ones that are faster or do not overflow fp16.

    Args:
        job: settings of the run.
        model: the model, in fp32 on this rank's device.
        start_token: id that fills padding and starts the responses of an encoder-decoder.
        cache: the tokenised pairs.
        used: the run's pairs, as rows of the cache.
        ranks: the processes of the run.

    Raises:
        LaminiError: when the model can't be trained on these pairs.
    """

    def __init__(
        self,
        *,
        job: TrainingJob,
        model: Any,
        start_token: int,
        cache: TokenCache,
        used: Integers,
        ranks: Ranks,
    ) -> None:
        self._model, self._cache, self._ranks = model, cache, ranks
        self._architecture, self._start_token = job.architecture, start_token
        self._budget = job.recipe.tokens_per_micro_batch
        self.precision = choose_precision(job.recipe.precision, ranks.device, before_ampere="fp16")
        proven = pairs_to_prove(cache, used, proof_tokens(model))
        reference = Reference(
            job.model, model, [(cache.prompt(int(p)), cache.response(int(p))) for p in proven]
        )
        fuse_activations(model)
        if self.precision == "fp16":
            protect_t5_from_overflow(model)
        candidates = ways_to_try(model)
        choice = reference.choose(
            {way: functools.partial(self._tried, proven, way) for way in candidates},
            None if self.precision == "fp32" else self._autocast,
        )
        self._way = self._slowest(candidates, choice.way)
        self.choice = dataclasses.replace(choice, way=self._way)
        """Way of computation, the same on all ranks, and the result of the verification."""

    def sums(self, pairs: Integers, weights: np.ndarray, scale: float | None = None) -> Sums:
        """Loss of a set of pairs, summed over ranks.

        Args:
            pairs: rows of the cache.
            weights: loss weight of each supervised token, per pair. Shape (pairs,).
            scale: factor of the loss in the backward pass, which adds this rank's share of the
                gradient to the parameters; None: no backward pass.
        """
        shared, layout = self._lay_out(pairs, self._way, self._ranks.world)
        loss = torch.zeros((), dtype=torch.float64, device=self._ranks.device)
        for micro_batch in layout[self._ranks.rank]:
            batch = self._batch(pairs, weights, micro_batch, shared)
            with self._autocast():
                losses = token_losses(self._model, batch, self._way)
            part = (losses * batch.weights).sum()
            if scale is not None:
                (part * scale).backward()
            loss += part.detach().double()
        fed = self._cache.prompt_lengths[pairs].sum() + self._cache.response_lengths[pairs].sum()
        if self._architecture == "decoder-only":
            fed -= len(pairs)  # the end token is a label, never an input
        computed = sum(batch.padded_tokens for share in layout for batch in share)
        return Sums(
            loss=float(self._ranks.sum(loss)),
            tokens=int(fed),
            padding=1 - float(fed - shared * len(pairs)) / computed,
        )

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.precision, self._ranks.device)

    def _lay_out(self, pairs: Integers, way: Way, ranks: int) -> tuple[int, list[list[MicroBatch]]]:
        """Length in tokens of the shared prefix, and the micro-batches of each rank."""
        shared = shared_prefix(self._cache, pairs) if way == "shared_prefix" else 0
        layout = lay_out(
            self._architecture,
            self._cache.prompt_lengths[pairs] - shared,
            self._cache.response_lengths[pairs],
            1 if way == "alone" else self._budget,
            ranks,
            packed=way == "packed",
        )
        return shared, layout

    def _batch(
        self, pairs: Integers, weights: np.ndarray, layout: MicroBatch, shared: int
    ) -> Batch:
        return make_batch(
            self._cache,
            pairs,
            weights,
            layout,
            shared=shared,
            architecture=self._architecture,
            start_token=self._start_token,
            device=self._ranks.device,
        )

    def _tried(self, pairs: Integers, way: Way) -> list[torch.Tensor]:
        """`log_likelihoods` in evaluation mode, after one pair in training mode with gradients.

        The first pass raises if the way fails in training mode.
        """
        self._model.train()
        with torch.enable_grad():
            self.log_likelihoods(pairs[:1], way)
        self._model.eval()
        return self.log_likelihoods(pairs, way)

    def log_likelihoods(self, pairs: Integers, way: Way) -> list[torch.Tensor]:
        """Log-likelihood of each response token, one tensor per pair, in nats. Shapes (T,).

        The caller sets the precision with `autocast`.

        Args:
            pairs: rows of the cache.
            way: way of computation: one of `ways_to_try`, or `alone`.
        """
        shared, (layout,) = self._lay_out(pairs, way, 1)
        found: dict[int, torch.Tensor] = {}
        for micro_batch in layout:
            batch = self._batch(pairs, np.ones(len(pairs)), micro_batch, shared)
            order = [pair for row in micro_batch.rows for pair in row]
            lengths = [int(self._cache.response_lengths[pairs[pair]]) for pair in order]
            losses = token_losses(self._model, batch, way).split(lengths)
            found |= {pair: -part for pair, part in zip(order, losses, strict=True)}
        return [found[pair] for pair in range(len(pairs))]

    def _slowest(self, ways: Sequence[Way], chosen: str) -> Way:
        """The fastest way that every rank accepts; the layout must be the same on all ranks."""
        mine = [way == chosen for way in ways].index(True)
        refused = [self._ranks.any(mine > place) for place in range(len(ways))]
        return ways[refused.index(False)]
