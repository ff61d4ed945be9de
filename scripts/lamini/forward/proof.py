"""Check at the start of a run that a fast way gives the results of the model's own forward.

A fast way puts several sequences into one row, or computes a shared prefix once. Whether this is
correct depends on the model family: its positions, its attention mask, its cache. Each way is
therefore tested with the loaded model on real sequences of the run. The first correct way is used.

Two comparisons of the log-likelihood of each token:

1. In fp32, for any precision of the run. Rounding errors are so small that every fault is visible.
2. In the precision of the run, on its device. The error of the way against the fp32 values may not
   exceed that of the model's own forward in this precision, up to the spread of rounding errors.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch

from lamini.arrays import Integers
from lamini.errors import LaminiError
from lamini.forward.own import log_likelihoods, own_logits

logger = logging.getLogger("lamini")

ROUNDING = 128 * torch.finfo(torch.float32).eps
"""Tolerance of a log-likelihood in fp32, relative to the size of the logits."""
NOISE = 4.0
"""Largest error of a way in bf16 or fp16, as a multiple of the error of the model's own forward."""
_LARGER_IN_FP32 = 1.3
"""Memory that a model needs in fp32, as a multiple of its weights; the rest is for activations."""

_NO_MEMORY = "can't be proven: no memory holds the model in fp32"
_TOKENS = (128, 512)
"""Fewest and most tokens of the compared sequences, without the longest one."""
_OPERATIONS = 3.5e10
"""FLOPs of the model's own forward on a CPU for these tokens: less than a second of one core."""

TokenPair = tuple[Integers, Integers]
"""Token ids of context and continuation."""
Compute = Callable[[], Sequence[torch.Tensor]]
"""Returns the log-likelihoods of each pair's continuation, in the order of the pairs. Shapes
(T,)."""


@dataclass(frozen=True)
class Choice:
    """The chosen way of computation, and the reasons why faster ways were refused."""

    way: str
    pairs: int
    """Number of compared sequences."""
    longest: int
    """Tokens of the longest compared sequence."""
    difference: float
    """Largest difference of a token's log-likelihood from the model's own forward, fp32, nats."""
    refused: dict[str, str] = field(default_factory=dict)
    """Reason of refusal of each faster way."""

    def fields(self) -> dict[str, Any]:
        """Fields for a manifest or a result: the way, and refused ways if any."""
        return {"way": self.way} | ({"refused_ways": self.refused} if self.refused else {})


def proof_tokens(model: Any) -> int:
    """Number of tokens to compare, without the longest sequence.

    More tokens are better: they cover more positions in a sequence and in a row.
    """
    fewest, most = _TOKENS
    if model.device.type != "cpu":
        return most
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return min(most, max(fewest, int(_OPERATIONS / (2 * parameters))))


class Reference:
    """Log-likelihoods of real sequences by the model's own forward.

    Args:
        name: name of the model, for messages.
        model: the model; it is in evaluation mode during the check, and its mode is restored.
        pairs: the sequences: a short one, the longest one, and some that share a row.

    Raises:
        LaminiError: when the model's own forward fails, is not finite, or is not causal.
    """

    def __init__(self, name: str, model: Any, pairs: Sequence[TokenPair]) -> None:
        self._name, self._model, self._pairs = name, model, pairs
        self._family = model.config.model_type
        with torch.no_grad(), _evaluating(model), _in_fp32(model) as self._exact:
            logits = [self._own(pair) for pair in pairs]
            self._own32 = [self._likelihoods(*one) for one in zip(logits, pairs, strict=True)]
            self._limit = ROUNDING * max(map(_scale, logits, self._own32))
            if self._exact:
                self._check_causal()

    def choose(
        self,
        ways: Mapping[str, Compute],
        short: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> Choice:
        """Return the first way that gives the results of the model's own forward.

        Args:
            ways: ways by name, fastest first, the model's own forward last.
            short: context of the run's precision (autocast); None if the weights have this
                precision themselves.

        Raises:
            LaminiError: when no way is correct.
        """
        if not self._exact:
            *faster, last = ways
            refused = dict.fromkeys(faster, _NO_MEMORY)
            return self._logged(Choice(last, *self._sizes(), 0.0, refused))
        refused = {}
        with torch.no_grad(), _evaluating(self._model):
            own = self._in_job_precision(short)
            for way, compute in ways.items():
                problem, apart = self._problem(compute, own, short)
                if problem is None:
                    return self._logged(Choice(way, *self._sizes(), apart, refused))
                refused[way] = problem
        reasons = "; ".join(f"by `{way}`, it {problem}" for way, problem in refused.items())
        raise LaminiError(
            f"{self._name}: a {self._family} can't be computed here: {reasons}; use another model"
        )

    def _sizes(self) -> tuple[int, int]:
        return len(self._pairs), max(len(c) + len(t) for c, t in self._pairs)

    def _logged(self, choice: Choice) -> Choice:
        for way, problem in choice.refused.items():
            logger.warning(
                "%s (%s): not computed by the way `%s`: it %s; computed by `%s`",
                self._name,
                self._family,
                way,
                problem,
                choice.way,
            )
        return choice

    def _problem(
        self,
        compute: Compute,
        own: Sequence[torch.Tensor] | None,
        short: Callable[[], AbstractContextManager[object]] | None,
    ) -> tuple[str | None, float]:
        """Reason to refuse a way (None: correct), and its largest difference in fp32, nats."""
        try:
            with _in_fp32(self._model):
                apart = _largest_difference(compute(), self._own32)
            if not apart <= self._limit:
                return f"differs by {apart:.1g} nats a token in fp32", apart
            if own is not None:
                with (short or nullcontext)():
                    values = compute()
                error, noise = (_rms(each, self._own32) for each in (values, own))
                if not error <= NOISE * noise + self._limit:
                    return f"errs by {error:.1g} nats a token, rounding by {noise:.1g}", apart
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # code of an untested family may raise any exception
            return f"fails ({type(error).__name__}: {error!s:.120})", 0.0
        return None, apart

    def _own(self, pair: TokenPair) -> torch.Tensor:
        try:
            # Compiled blocks would need a graph per layer here: each one fills its own cache.
            with torch.compiler.set_stance("force_eager"):
                return own_logits(self._model, *pair)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # code of an untested family may raise any exception
            raise LaminiError(
                f"{self._name}: the model's own forward ({self._family}) fails on a sequence of"
                f" {len(pair[0])} and {len(pair[1])} tokens ({type(error).__name__}:"
                f" {error!s:.200}). It may have fewer positions (lower the longest prompt and"
                " response), or fewer embeddings than its tokenizer has tokens"
            ) from error

    def _likelihoods(self, logits: torch.Tensor, pair: TokenPair) -> torch.Tensor:
        values = log_likelihoods(logits, torch.as_tensor(pair[1], device=logits.device))
        if not bool(torch.isfinite(values).all()):
            raise LaminiError(
                f"{self._name}: the model's own forward ({self._family}) gives log-likelihoods that"
                " are not finite; its weights are damaged, or the precision has too small a range"
                " (set precision to fp32)"
            )
        return values.cpu()

    def _in_job_precision(
        self, short: Callable[[], AbstractContextManager[object]] | None
    ) -> list[torch.Tensor] | None:
        """Log-likelihoods by the model's own forward in the run's precision; None if it is fp32."""
        if short is None and all(p.dtype == torch.float32 for p in self._model.parameters()):
            return None
        with (short or nullcontext)():
            return [self._likelihoods(self._own(pair), pair) for pair in self._pairs]

    def _check_causal(self) -> None:
        """Raise a LaminiError if the last token of a sequence changes earlier log-likelihoods."""
        longer = [i for i, (_, continuation) in enumerate(self._pairs) if len(continuation) > 1]
        if not longer:  # only the last position of each sequence is read
            return
        at = min(longer, key=lambda i: sum(map(len, self._pairs[i])))
        context, continuation = self._pairs[at]
        begun = (context, continuation[:-1])
        values = self._likelihoods(self._own(begun), begun)
        apart = _largest_difference([values], [self._own32[at][:-1]])
        if not apart <= self._limit:
            raise LaminiError(
                f"{self._name}: a {self._family} gives a token another probability when more tokens"
                f" follow it (by {apart:.1g} nats), so it is not a causal language model; use"
                " another model, or correct its configuration (`is_decoder`)"
            )


def _scale(logits: torch.Tensor, likelihoods: torch.Tensor) -> float:
    """Largest absolute logit or log-normalizer, at least one; sets the scale of rounding errors."""
    normalizers = logits.float().logsumexp(dim=-1).cpu()
    return max(1.0, float(normalizers.abs().max()), float((normalizers + likelihoods).abs().max()))


def _largest_difference(values: Sequence[torch.Tensor], own: Sequence[torch.Tensor]) -> float:
    """Largest absolute difference; NaN if any value is NaN, so that no comparison with it holds."""
    return float((torch.cat([v.cpu() for v in values]) - torch.cat(list(own))).abs().max())


def _rms(values: Sequence[torch.Tensor], own: Sequence[torch.Tensor]) -> float:
    """Root mean square difference per token."""
    apart = torch.cat([v.cpu().double() for v in values]) - torch.cat(list(own)).double()
    return float(apart.square().mean().sqrt())


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout); restores the previous mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def _in_fp32(model: Any) -> Iterator[bool]:
    """Convert the weights to fp32, which represents bf16 and fp16 exactly, and restore them after.

    While converted, the model is on the CPU if its device has too little memory. Yields False, with
    the weights unchanged, if no memory is large enough.
    """
    shorter = [
        tensor
        for tensor in (*model.parameters(), *model.buffers())
        if tensor.is_floating_point() and tensor.dtype != torch.float32
    ]
    needed = int(sum(4 * tensor.numel() for tensor in shorter) * _LARGER_IN_FP32)
    device = model.device
    dispatched = getattr(model, "hf_device_map", None) is not None
    on_cpu = bool(needed) and device.type == "cuda" and torch.cuda.mem_get_info()[0] < needed
    if needed and (
        any(tensor.is_meta for tensor in shorter)
        or (dispatched and on_cpu)
        or (on_cpu and psutil.virtual_memory().available < needed)
    ):
        yield False
        return
    formats = [tensor.dtype for tensor in shorter]
    if on_cpu:
        model.to("cpu")
    try:
        for tensor in shorter:
            tensor.data = tensor.data.float()
        yield True
    finally:
        for tensor, before in zip(shorter, formats, strict=True):
            tensor.data = tensor.data.to(before)
        if on_cpu:
            model.to(device)
