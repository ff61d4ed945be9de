"""Losses and gradients of sets of pairs, computed in the fastest way verified for the model."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamini.arrays import Integers
from lamini.errors import LaminiError
from lamini.forward.own import log_likelihoods
from lamini.forward.proof import Reference, proof_tokens
from lamini.students.numerics import choose_precision
from lamini.students.token_cache import TokenCache
from lamini.training.adapter import perturbed, trainable_embeddings
from lamini.training.batches import Batch, make_batch, make_flat_batch, shared_prefix
from lamini.training.compilation import compile_blocks, compiled_log_likelihoods
from lamini.training.fast_modules import align_head, fuse_activations
from lamini.training.gradients import GradientSums
from lamini.training.job import TrainingJob
from lamini.training.layout import MicroBatch, choose_shapes, lay_out, lay_out_flat
from lamini.training.losses import Likelihoods, token_losses
from lamini.training.micro_batches import CPU_COSTS, MicroBatchCosts, measure_costs
from lamini.training.optimization import autocast, protect_t5_from_overflow
from lamini.training.ranks import Ranks
from lamini.training.ways import Way, pairs_to_prove, ways_to_try

logger = logging.getLogger("lamini")

_ALL_AT_ONCE = MicroBatchCosts(budget=2**40, overhead=2**40)


@dataclass(frozen=True)
class Prepared:
    """A set of pairs, laid out in micro-batches, with this rank's batches on the CPU."""

    pairs: Integers
    weights: np.ndarray
    costs: MicroBatchCosts
    """Costs that the layout was made for."""
    shared: int
    """Length in tokens of the shared prefix; 0 if the rows contain their whole prompts."""
    layout: list[list[MicroBatch]]
    """Micro-batches of each rank."""
    batches: list[Batch]

    @property
    def divisible(self) -> bool:
        """Whether a micro-batch has several pairs, so that smaller ones are possible."""
        rows = [batch.rows for share in self.layout for batch in share]
        return any(len(each) > 1 or len(each[0]) > 1 for each in rows)


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
        cache: the tokenized pairs.
        used: the run's pairs, as rows of the cache.
        ranks: the processes of the run.
        work: folder of the run, for measured costs.

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
        work: Path,
    ) -> None:
        self._model, self._cache, self._ranks = model, cache, ranks
        self._architecture, self._start_token = job.architecture, start_token
        self._name, self._costs = job.model, CPU_COSTS
        self._row_shapes: Integers | None = None
        self._likelihoods: Likelihoods = log_likelihoods
        self.precision = choose_precision(job.recipe.precision, ranks.device, before_ampere="fp16")
        proven = pairs_to_prove(cache, used, proof_tokens(model))
        sample = [(cache.prompt(int(p)), cache.response(int(p))) for p in proven]
        with perturbed(model):
            reference = Reference(job.model, model, sample)
            fuse_activations(model)
            if self.precision == "fp16":
                protect_t5_from_overflow(model)
            if self.precision != "fp32" and ranks.device.type == "cuda":
                align_head(model.get_output_embeddings())
            if job.recipe.compile:
                compile_blocks(model, job.model)
                self._likelihoods = compiled_log_likelihoods()
            candidates = ways_to_try(model, self.precision, compiled=job.recipe.compile)
            choice = reference.choose(
                {way: functools.partial(self._tried, proven, way) for way in candidates},
                None if self.precision == "fp32" else self._autocast,
            )
        self._way = self._slowest(candidates, choice.way)
        self.choice = dataclasses.replace(choice, way=self._way)
        """Way of computation, the same on all ranks, and the result of the verification."""
        if ranks.device.type == "cuda" and self._way != "alone":
            self._costs = ranks.share(self._measured_costs(used, job, work))
        if job.recipe.tokens_per_micro_batch != "auto":
            budget = job.recipe.tokens_per_micro_batch
            self._costs = dataclasses.replace(self._costs, budget=budget)
        if self._way == "packed":
            self._row_shapes = choose_shapes(
                cache.prompt_lengths[used],
                cache.response_lengths[used],
                pairs=job.recipe.batch_pairs,
                budget=self._costs.budget,
                overhead=self._costs.overhead,
                ranks=ranks.world,
            )

    def prepare(self, pairs: Integers, weights: np.ndarray) -> Prepared:
        """Lay out a set of pairs and build this rank's batches.

        Args:
            pairs: rows of the cache.
            weights: loss weight of each supervised token, per pair. Shape (pairs,).
        """
        shared, layout = self._lay_out(pairs, self._way, self._ranks.world)
        batches = [
            self._batch(pairs, weights, micro_batch, shared, self._way)
            for micro_batch in layout[self._ranks.rank]
        ]
        if self._ranks.device.type == "cuda":
            batches = [batch.map(torch.Tensor.pin_memory) for batch in batches]
        return Prepared(pairs, weights, self._costs, shared, layout, batches)

    def sums(
        self,
        prepared: Prepared,
        scale: float | None = None,
        *,
        gradients: GradientSums | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Sums:
        """Loss of a set of pairs, summed over ranks.

        If a GPU's memory is too small for a micro-batch, all ranks start again with smaller ones.

        Args:
            prepared: the pairs.
            scale: factor of the loss in the backward pass, which adds this rank's share of the
                gradient to the parameters, which have none yet; None: no backward pass.
            gradients: starts to sum the gradients over ranks; None: they are not summed.
            meanwhile: work of the CPU to do while a GPU computes.

        Raises:
            LaminiError: when the memory is too small for a single pair.
        """
        if prepared.costs != self._costs:
            prepared = self.prepare(prepared.pairs, prepared.weights)
        loss = self._computed(prepared.batches, scale, gradients)
        if meanwhile is not None:
            meanwhile()
        while self._ranks.any(loss is None):
            if gradients is not None:
                gradients.discard()
            self._take_smaller_micro_batches(prepared)
            prepared = self.prepare(prepared.pairs, prepared.weights)
            loss = self._computed(prepared.batches, scale, gradients)
        assert loss is not None
        pairs, shared, layout = prepared.pairs, prepared.shared, prepared.layout
        fed = self._cache.prompt_lengths[pairs].sum() + self._cache.response_lengths[pairs].sum()
        if self._architecture == "decoder-only":
            fed -= len(pairs)  # the end token is a label, never an input
        computed = sum(batch.padded_tokens for share in layout for batch in share)
        return Sums(
            loss=float(self._ranks.sum(loss)),
            tokens=int(fed),
            padding=1 - float(fed - shared * len(pairs)) / computed,
        )

    def _computed(
        self, batches: list[Batch], scale: float | None, gradients: GradientSums | None
    ) -> torch.Tensor | None:
        """This rank's share of the loss; None if the memory was too small."""
        loss = self._added_up(batches, scale, gradients)
        if gradients is not None:
            gradients.start_all()
        return loss

    def _added_up(
        self, batches: list[Batch], scale: float | None, gradients: GradientSums | None
    ) -> torch.Tensor | None:
        loss = torch.zeros((), dtype=torch.float64, device=self._ranks.device)
        try:
            for number, batch in enumerate(batches, start=1):
                if gradients is not None and number == len(batches):
                    gradients.begin_last_pass()
                loss += self._pass(batch, scale)
        except torch.OutOfMemoryError:
            return None
        return loss

    def _pass(self, batch: Batch, scale: float | None) -> torch.Tensor:
        """Loss of a micro-batch, after its backward pass."""
        batch = self._on_device(batch)
        with self._autocast():
            losses = token_losses(self._model, batch, self._way, self._likelihoods)
        part = (losses * batch.weights).sum()
        if scale is not None:
            (part * scale).backward()
        return part.detach().double()

    def _take_smaller_micro_batches(self, prepared: Prepared) -> None:
        """Halve the size of the micro-batches after an out-of-memory error."""
        if not prepared.divisible:
            raise LaminiError(
                f"{self._name}: the memory of {self._ranks.device} is too small for a single pair;"
                " set gradient_checkpointing: true, or shard_optimizer: true with several GPUs, or"
                " lower max_prompt_tokens and max_response_tokens"
            )
        self._model.zero_grad(set_to_none=True)
        if self._ranks.device.type == "cuda":
            torch.cuda.empty_cache()
        largest = max(batch.padded_tokens for share in prepared.layout for batch in share)
        budget = min(largest, prepared.costs.budget) // 2
        self._costs = dataclasses.replace(prepared.costs, budget=budget)
        if self._ranks.first:
            logger.warning(
                "%s: out of memory; from now on with at most %s tokens per micro-batch",
                self._name,
                f"{budget:,}",
            )

    def _measured_costs(self, used: Integers, job: TrainingJob, work: Path) -> MicroBatchCosts:
        """Costs of micro-batches with pairs of medium length."""
        lengths = self._cache.prompt_lengths[used] + self._cache.response_lengths[used]
        by_length, mean = used[np.argsort(lengths, kind="stable")], float(lengths.mean())
        training = self._model.training
        self._model.train()

        def compute(tokens: int) -> int:
            count = max(1, round(tokens / mean))
            first = max(0, (len(by_length) - count) // 2)
            pairs = np.resize(by_length[first : first + count], count)
            shared, ((micro_batch,),) = self._lay_out(pairs, self._way, 1, _ALL_AT_ONCE)
            self._pass(self._batch(pairs, np.ones(count), micro_batch, shared, self._way), 1.0)
            self._model.zero_grad(set_to_none=True)
            return micro_batch.padded_tokens

        shares = self._ranks.world if job.recipe.shard_optimizer else 1
        trained = sum(p.numel() for p in self._model.parameters() if p.requires_grad)
        moments = 2 * 4 * trained // shares
        costs = measure_costs(compute, self._ranks.device, moments, work / "micro_batches.json")
        self._model.train(training)
        return costs

    def _on_device(self, batch: Batch) -> Batch:
        device = self._model.device  # in a proof the CPU, if the GPU can't hold the model in fp32
        return batch.map(lambda tensor: tensor.to(device, non_blocking=True))

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.precision, self._ranks.device)

    def _lay_out(
        self, pairs: Integers, way: Way, ranks: int, costs: MicroBatchCosts | None = None
    ) -> tuple[int, list[list[MicroBatch]]]:
        """Length in tokens of the shared prefix, and the micro-batches of each rank."""
        costs = costs or self._costs
        if way == "flat":
            prompts, responses = (
                lengths[pairs]
                for lengths in (self._cache.prompt_lengths, self._cache.response_lengths)
            )
            return 0, lay_out_flat(prompts, responses, costs.budget, ranks)
        shared = shared_prefix(self._cache, pairs) if way == "shared_prefix" else 0
        layout = lay_out(
            self._architecture,
            self._cache.prompt_lengths[pairs] - shared,
            self._cache.response_lengths[pairs],
            1 if way == "alone" else costs.budget,
            ranks,
            packed=way == "packed",
            overhead=costs.overhead,
            row_shapes=self._row_shapes,
        )
        return shared, layout

    def _batch(
        self, pairs: Integers, weights: np.ndarray, micro_batch: MicroBatch, shared: int, way: Way
    ) -> Batch:
        """Tensors of a micro-batch, on the CPU."""
        if way == "flat":
            return make_flat_batch(self._cache, pairs, weights, micro_batch)
        return make_batch(
            self._cache,
            pairs,
            weights,
            micro_batch,
            shared=shared,
            architecture=self._architecture,
            start_token=self._start_token,
        )

    def _tried(self, pairs: Integers, way: Way) -> list[torch.Tensor]:
        """`log_likelihoods` in evaluation mode, after one pair in training mode with gradients.

        The first pass raises if the way fails in training mode. It is compiled only in the run's
        own precision: graphs with gradients take longest, and no others are used later.
        """
        own = self.precision == "fp32" or torch.is_autocast_enabled(self._ranks.device.type)
        self._model.train()
        with (
            torch.compiler.set_stance("default" if own else "force_eager"),
            torch.enable_grad(),
            trainable_embeddings(self._model),
        ):
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
        likelihoods: dict[int, torch.Tensor] = {}
        for micro_batch in layout:
            batch = self._batch(pairs, np.ones(len(pairs)), micro_batch, shared, way)
            order = [pair for row in micro_batch.rows for pair in row]
            lengths = [int(self._cache.response_lengths[pairs[pair]]) for pair in order]
            losses = token_losses(
                self._model, self._on_device(batch), way, self._likelihoods
            ).split(lengths)
            likelihoods |= {pair: -part for pair, part in zip(order, losses, strict=True)}
        return [likelihoods[pair] for pair in range(len(pairs))]

    def _slowest(self, ways: Sequence[Way], chosen: str) -> Way:
        """The fastest way that every rank accepts; the layout must be the same on all ranks."""
        mine = [way == chosen for way in ways].index(True)
        refused = [self._ranks.any(mine > index) for index in range(len(ways))]
        return ways[refused.index(False)]
