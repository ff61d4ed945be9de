"""The training loop: optimizer steps, stop signals, checkpoints and exact resume."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamini.errors import LaminiError, StopRequested
from lamini.files import derive_seed
from lamini.log import Progress
from lamini.students.token_cache import TokenCache
from lamini.training.checkpoints import Checkpoints, TrainingState
from lamini.training.computation import Computation, Prepared
from lamini.training.gradients import GradientSums
from lamini.training.interrupts import StopSignals
from lamini.training.job import TrainingJob
from lamini.training.kept_epoch import best_row, stops_early
from lamini.training.metrics import StepMetrics
from lamini.training.optimization import LossScale, Optimizer, learning_rate
from lamini.training.pairs import Selection, StepPlan, pair_weights
from lamini.training.ranks import Ranks
from lamini.training.step_clock import run_clock
from lamini.training.telemetry import Telemetry

logger = logging.getLogger("lamini")


class Trainer:
    """Trains one model.

    Args:
        job: settings of the run.
        model: the initial model, in fp32.
        start_token: id that fills padding and starts the responses of an encoder-decoder.
        cache: the tokenized pairs.
        selection: training, held-out and excluded pairs.
        work: folder for checkpoints and telemetry.
        ranks: the processes of the run.
        fingerprint: fingerprint of the run (`TrainingJob.fingerprint`).
    """

    def __init__(
        self,
        *,
        job: TrainingJob,
        model: Any,
        start_token: int,
        cache: TokenCache,
        selection: Selection,
        work: Path,
        ranks: Ranks,
        fingerprint: str,
    ) -> None:
        self._job, self._recipe, self._ranks = job, job.recipe, ranks
        self._cache, self._selection = cache, selection
        self.plan = StepPlan(selection.training, job.recipe)
        self._model = model.to(ranks.device)
        self._computation = Computation(
            job=job,
            model=self._model,
            start_token=start_token,
            cache=cache,
            used=np.concatenate([selection.training, selection.held_out]),
            ranks=ranks,
            work=work,
        )
        self._ahead: tuple[int, Prepared] | None = None
        self.choice, self.precision = self._computation.choice, self._computation.precision
        self._scale = LossScale(enabled=self.precision == "fp16")
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._gradients = GradientSums(self._parameters, ranks, sharded=job.recipe.shard_optimizer)
        self._optimizer = Optimizer(self._gradients, job.recipe)
        self._checkpoints = Checkpoints(work, fingerprint, ranks)
        self._telemetry = Telemetry(work, model, job.architecture, ranks)
        self._clock = run_clock(job, model, cache, selection.training, ranks=ranks, work=work)

    def run(self) -> list[StepMetrics]:
        """Train to the end and return the rows of `metrics.jsonl`.

        Raises:
            StopRequested: after a stop signal; the state is saved.
            LaminiError: when training diverges, or a checkpoint can't be written.
        """
        with StopSignals() as signals:
            state = self._begin()
            saved_step, saved_at = state.step, time.monotonic()
            log = Progress(
                self.plan.steps,
                "steps",
                state.step,
                self._telemetry.line,
                self._clock.seconds,
            )
            with log:
                while not self._ended(state):
                    row = self.step(state.step)
                    self._clock.tick()
                    if self.plan.ends_epoch(state.step):
                        row = row.model_copy(update={"held_out_loss": self.held_out_loss()})
                    state.metrics.append(row)
                    state.step += 1
                    self._telemetry.record(row)
                    log.advance()
                    stop = self._ranks.any(signals.received is not None)
                    due = time.monotonic() - saved_at > 60 * self._recipe.save_minutes
                    if row.held_out_loss is not None:
                        due |= self._best_step(state) == state.step
                    ended = self._ended(state)
                    if stop or self._ranks.any(due) or ended:
                        self._save(state)
                        saved_step, saved_at = state.step, time.monotonic()
                    if stop and not ended:
                        raise StopRequested(
                            f"stopped after step {saved_step} of {self.plan.steps}, which is"
                            " saved; run the same command to resume"
                        )
        self._telemetry.close()
        self._keep_best(state)
        return state.metrics

    def clean_up(self) -> None:
        """Delete the checkpoints; call after the result is written."""
        if self._ranks.first:
            self._checkpoints.remove()

    def step(self, step: int) -> StepMetrics:
        """Run one optimizer step and return its row of metrics.

        Args:
            step: index of the step, from 0.

        Raises:
            LaminiError: when loss or gradient is not finite; in fp16, when many steps in a row have
                no finite gradient.
        """
        started = time.monotonic()
        # Dropout has a seed per step, so checkpoints need no random generator state.
        torch.manual_seed(derive_seed("dropout", self._recipe.seed, step, self._ranks.rank))
        self._model.train()
        prepared = self._prepared(step)
        pairs = prepared.pairs
        supervised = self._cache.response_lengths[pairs]
        sums = self._computation.sums(
            prepared,
            self._scale.value,
            gradients=self._gradients,
            meanwhile=lambda: self._prepare_ahead(step + 1),
        )
        rate = learning_rate(self._recipe, step, self.plan.steps)
        norm = self._update(rate)
        self._check(step, sums.loss, norm)
        self._telemetry.measure(
            int(self._cache.prompt_lengths[pairs].sum()),
            int(supervised.sum()),
            time.monotonic() - started,
        )
        return StepMetrics(
            step=step + 1,
            epoch=_rounded((step + 1) / self.plan.steps_per_epoch),
            loss=_rounded(sums.loss),
            held_out_loss=None,
            learning_rate=rate,
            gradient_norm=_rounded(norm) if np.isfinite(norm) else None,
            pairs=len(pairs),
            supervised_tokens=int(supervised.sum()),
            tokens=sums.tokens,
            padding_share=_rounded(sums.padding),
        )

    def held_out_loss(self) -> float | None:
        """Mean loss per supervised token of the held-out pairs, nats; None without such pairs."""
        pairs = self._selection.held_out
        if len(pairs) == 0:
            return None
        self._model.eval()
        weights = np.full(len(pairs), 1.0 / self._cache.response_lengths[pairs].sum())
        with torch.no_grad():
            sums = self._computation.sums(self._computation.prepare(pairs, weights))
        # The same bytes on all ranks: the kept epoch and the early stop depend on it.
        return float(self._ranks.share(_rounded(sums.loss)))

    def _prepared(self, step: int) -> Prepared:
        if self._ahead is not None and self._ahead[0] == step:
            return self._ahead[1]
        pairs = self.plan.pairs(step)
        weights = pair_weights(self._cache.response_lengths[pairs], self._recipe)
        return self._computation.prepare(pairs, weights)

    def _prepare_ahead(self, step: int) -> None:
        """Prepare the batches of the next step, so that a GPU does not wait for them."""
        if step < self.plan.steps:
            self._ahead = step, self._prepared(step)

    def _begin(self) -> TrainingState:
        state = self._checkpoints.load(self._parameters, self._optimizer)
        if state is not None:
            self._scale.load_state(state.scale)
            return state
        first = StepMetrics.untrained(self.held_out_loss())
        return TrainingState(step=0, metrics=[first], scale=self._scale.state())

    def _ended(self, state: TrainingState) -> bool:
        return state.step == self.plan.steps or stops_early(state.metrics, self._recipe)

    def _best_step(self, state: TrainingState) -> int | None:
        """Step of the weights to keep so far; None if the last ones are kept."""
        best = best_row(state.metrics) if self._recipe.keep == "best" else None
        return best.step if best else None

    def _save(self, state: TrainingState) -> None:
        state.scale = self._scale.state()
        optimizer = None if self._ended(state) else self._optimizer
        best = self._best_step(state)
        self._checkpoints.save(state, self._parameters, optimizer, best)

    def _keep_best(self, state: TrainingState) -> None:
        """Replace the weights by those of the best epoch if the recipe keeps them; log both."""
        best = self._best_step(state)
        if best is not None and best != state.step:
            self._checkpoints.load_best(self._parameters)
        if not self._ranks.first:
            return
        if state.step < self.plan.steps:
            logger.info(
                "stopped early after step %d of %d: %d held-out losses in a row are not below the"
                " lowest one",
                state.step,
                self.plan.steps,
                self._recipe.patience,
            )
        if best is not None:
            logger.info("kept: the weights of step %d, with the lowest held-out loss", best)

    def _check(self, step: int, loss: float, norm: float) -> None:
        """Raise a LaminiError if training diverges; log a skipped step."""
        finite = bool(np.isfinite(norm))
        if not np.isfinite(loss) or not (finite or self._scale.enabled):
            raise LaminiError(
                f"{self._job.model}: loss {loss}, gradient norm {norm} in step {step + 1};"
                " earlier checkpoints are kept; lower learning_rate, or set precision to fp32"
            )
        skipped = self._scale.skipped_in_a_row
        if skipped >= self._scale.MOST_SKIPPED_IN_A_ROW:
            raise LaminiError(
                f"{self._job.model}: the gradients of {skipped} steps in a row, up to step"
                f" {step + 1}, overflow fp16, and no such step changes the model; earlier"
                " checkpoints are kept; set precision to bf16 or fp32, or lower learning_rate"
            )
        if not finite and self._ranks.first:
            logger.warning(
                "step %d is skipped: its gradients overflow fp16; the loss scale is now %g",
                step + 1,
                self._scale.value,
            )

    def _update(self, rate: float) -> float:
        """Clip and apply the gradient, summed over ranks; returns its norm before clipping."""
        self._gradients.wait()
        self._scale.undo(piece.tensor for piece in self._gradients.pieces)
        norm = self._gradients.clip(self._recipe.max_gradient_norm)
        # The sum is the same on all ranks, so all take the same branch.
        finite = bool(torch.isfinite(norm))
        if finite:
            self._optimizer.step(rate)
        elif not self._scale.enabled:
            return float(norm)
        self._scale.adapt(finite)
        self._gradients.clear()
        return float(norm)


def _rounded(value: float) -> float:
    """Round to seven significant digits, the precision of fp32."""
    return float(f"{value:.7g}")
