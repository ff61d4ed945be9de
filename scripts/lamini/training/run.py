"""One training run in one process, from settings to `final/`."""

import logging
from pathlib import Path

import numpy as np
import torch

from lamini.errors import LaminiError
from lamini.forward.own import position_limits, start_token
from lamini.students.numerics import choose_precision, switch_off_faulty_kernels
from lamini.students.token_cache import TokenCache
from lamini.training.adapter import adapter_size, export_form, train_adapter_only
from lamini.training.export import export_model, keep_finished, training_manifest
from lamini.training.initialization import load_initialization
from lamini.training.job import TrainingJob
from lamini.training.loop import Trainer
from lamini.training.optimization import learning_rate
from lamini.training.pairs import Selection
from lamini.training.ranks import Ranks
from lamini.training.samples import chosen_pairs

logger = logging.getLogger("lamini")
_FEW_STEPS = 10
"""Up to this number of steps, a first step with learning rate 0 causes a warning."""


def train_student(
    job: TrainingJob, tokenized: Path, output: Path, gpus: int, *, dataset: Path | None = None
) -> None:
    """Train a student; resume from its last checkpoint if there is one.

    Args:
        job: settings of the run.
        tokenized: folder of the token cache.
        output: folder for `work/` (checkpoints, TensorBoard) and, at the end, `final/`.
        gpus: number of GPUs of this machine that may be used.
        dataset: the tokenized dataset; needed to train on a share of its pairs (`samples`).

    Raises:
        StopRequested: after a stop signal; the state is saved and `final/` is not written.
        LaminiError: on bad input, before any expensive work, or when training fails.
    """
    cache = TokenCache(tokenized)
    # Once, at the start: if the user edits code now, the result is still that of the old code.
    fingerprint = job.fingerprint(tokenized)
    selection, sample = chosen_pairs(cache, job.recipe, dataset)
    ranks = Ranks(gpus)
    try:
        prepare_torch(job.recipe.seed, ranks.device)
        model, tokenizer = load_initialization(job)
        precision = choose_precision(job.recipe.precision, ranks.device, before_ampere="fp16")
        train_adapter_only(job, model, precision)
        _check_vocabulary(cache, len(tokenizer))
        check_positions(job, selection, cache, model)
        causal = job.architecture == "decoder-only"
        trainer = Trainer(
            job=job,
            model=model,
            start_token=tokenizer.eos_token_id if causal else start_token(model),
            cache=cache,
            selection=selection,
            work=output / "work",
            ranks=ranks,
            fingerprint=fingerprint,
        )
        _log_start(job, trainer, model, ranks)
        metrics = trainer.run()
        if ranks.first:
            exported, adapter = export_form(job, model), adapter_size(model)
            manifest = training_manifest(
                job, metrics, cache, selection, trainer.choice, adapter=adapter, sample=sample
            )
            export_model(
                job,
                exported,
                tokenizer,
                metrics,
                manifest,
                left_out=selection.left_out,
                folder=output / "final",
            )
            keep_finished(output, fingerprint)
            trainer.clean_up()
        ranks.wait()
    finally:
        ranks.close()


def _check_vocabulary(cache: TokenCache, tokens: int) -> None:
    """Raise a LaminiError if the cache is not of a tokenizer with this number of tokens."""
    if tokens != cache.manifest["vocabulary"]:
        raise LaminiError(
            f"{cache.folder}: tokenized with {cache.manifest['vocabulary']} tokens, the model's"
            f" tokenizer has {tokens}; run tokenize_pairs again"
        )


def check_positions(
    job: TrainingJob, selection: Selection, cache: TokenCache, model: torch.nn.Module
) -> None:
    """Raise a LaminiError if a pair has more tokens than the model has positions."""
    used = np.concatenate([selection.training, selection.held_out])
    prompts, responses = cache.prompt_lengths[used], cache.response_lengths[used]
    encoder, decoder = position_limits(model)
    sides = [(prompts, encoder, "encoder", "max_prompt_tokens")]
    if job.architecture == "decoder-only":
        both = "max_prompt_tokens or max_response_tokens"
        sides = [(prompts + responses - 1, decoder, "model", both)]
    else:
        sides.append((responses, decoder, "decoder", "max_response_tokens"))
    for lengths, limit, side, setting in sides:
        if limit is not None and lengths.max() > limit:
            raise LaminiError(
                f"{job.model}: pair {used[lengths.argmax()]} has {lengths.max()} tokens, the"
                f" {side} {limit} positions; lower {setting} of models.{job.model}.recipe"
            )


def prepare_torch(seed: int, device: torch.device) -> None:
    """Seed torch and set its kernels.

    On a CPU only deterministic kernels are used: the same run on the same machine gives the same
    bytes. On a GPU nondeterministic kernels are allowed: repeated runs have the same pairs and the
    same dropout, and their losses and weights are equal up to rounding.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(device.type == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    switch_off_faulty_kernels()


def _log_start(job: TrainingJob, trainer: Trainer, model: torch.nn.Module, ranks: Ranks) -> None:
    if not ranks.first:
        return
    steps = trainer.plan.steps
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    logger.info(
        "%s: %s parameters%s, %s%d steps of %d pairs, on %d x %s in %s",
        job.model,
        f"{sum(p.numel() for p in model.parameters()):,}",
        f", {trained:,} of them trained" if job.recipe.lora else "",
        "at most " * (job.recipe.patience is not None),
        steps,
        job.recipe.batch_pairs,
        ranks.world,
        ranks.device,
        trainer.precision,
    )
    if steps <= _FEW_STEPS and learning_rate(job.recipe, 0, steps) == 0:
        logger.warning(
            "%s: step 1 of %d has learning rate 0, as a warm-up begins with it, and changes nothing"
            "%s; set warmup_ratio to 0, raise epochs, or lower batch_pairs",
            job.model,
            steps,
            ": this run trains nothing" if steps == 1 else "",
        )
