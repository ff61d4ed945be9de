"""Checks of losses, gradients and scores in bf16 and fp16, and of the attention kernels.

The reference for training is the model's own forward, one pair at a time, on the CPU in fp32.
Limits for bf16 and fp16 come from measured rounding noise. The error of the model's own forward may
be a few times the effect of rounding the weights. The error of a faster way may be `FAITHFUL` times
that of the model's own forward.
"""

import copy
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_machine import FAMILIES, Machine, Row, judged, not_here
from training_inputs import Student

from lamini.evaluation.models import load_evaluated_model
from lamini.evaluation.proven_scorer import ProvenScorer
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import Scorer
from lamini.forward.proof import NOISE
from lamini.settings.params.evaluation import EvaluatedModel
from lamini.training.computation import Computation
from lamini.training.layout import lay_out
from lamini.training.optimization import LossScale, autocast
from lamini.training.ranks import Ranks
from lamini.training.ways import Way, ways_to_try

COMPARED = {"encoder-decoder": 16, "decoder-only": 6}
"""Number of compared pairs, from the shortest to the longest. For an encoder-decoder they fill
several packed rows, with padding on both sides."""
FEW = 4
"""Number of pairs or questions to find the attention kernels."""
EXACT = 1e-4
"""Largest error in fp32: of the losses in nats, and of the gradient, relative."""
FAITHFUL = 2
"""Largest error of a faster way, as a multiple of the error of the model's own forward in the same
precision."""
QUESTIONS, CHOICES, CHOICE_TOKENS = 50, 4, 12
SAMPLED = 8
"""One of this many choices is also scored by the model's own forward."""
_LOSS_SCALE = 2.0**10
"""Largest loss scale in fp16, so low that no gradient here overflows."""
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_KERNELS = {
    "aten::_flash_attention_forward": "flash",
    "aten::_scaled_dot_product_efficient_attention": "memory-efficient",
    "aten::_scaled_dot_product_cudnn_attention": "cuDNN",
    "aten::_scaled_dot_product_attention_math": "math",
    "aten::_scaled_dot_product_flash_attention_for_cpu": "flash of the CPU",
}
"""Attention kernels by torch's operators."""
Result = tuple[torch.Tensor, torch.Tensor]
"""Loss of each supervised token in nats, and the gradient of their mean; fp64 on the CPU."""


class Computer:
    """A copy of a student's model that computes losses and gradients as a training run does.

    Args:
        student: student with the weights and pairs.
        ranks: a single process and its device.
        precision: precision of the run.
        rounded: number format to which the weights are rounded first; None: no rounding.
    """

    def __init__(
        self, student: Student, ranks: Ranks, precision: str, rounded: str | None = None
    ) -> None:
        self._cache, self._device = student.cache, ranks.device
        self.model: Any = copy.deepcopy(student.model).to(self._device).eval()
        if rounded:
            for parameter in self.model.parameters():
                parameter.data = parameter.data.to(_TYPES[rounded]).float()
        lengths = student.cache.prompt_lengths + student.cache.response_lengths
        usable = student.usable()
        order = usable[np.argsort(lengths[usable], kind="stable")]
        positions = np.linspace(0, len(order) - 1, COMPARED[student.job.architecture])
        self._pairs = order[positions.astype(int)]
        recipe = student.job.recipe.model_copy(update={"precision": precision})
        self.computation = Computation(
            job=student.job.model_copy(update={"recipe": recipe}),
            model=self.model,
            start_token=student.start_token,
            cache=student.cache,
            used=self._pairs,
            ranks=ranks,
            work=Path(tempfile.mkdtemp(dir=student.cache.folder)),
        )
        self.ways: list[Way] = ways_to_try(self.model, self.computation.precision)

    def compute(self, way: Way, most: int | None = None) -> Result:
        """Losses and gradient of all pairs, or of the `most` shortest pairs."""
        precision = self.computation.precision
        scale = LossScale(enabled=precision == "fp16")
        scale.value = min(scale.value, _LOSS_SCALE)
        self.model.zero_grad()
        with autocast(precision, self._device):
            losses = -torch.cat(self.computation.log_likelihoods(self._pairs[:most], way))
        (losses.mean() * scale.value).backward()
        scale.undo(self.model.parameters())
        gradient = torch.cat([p.grad.flatten() for p in self.model.parameters()])
        return losses.detach().double().cpu(), gradient.double().cpu()

    def padding(self) -> tuple[int, int]:
        """Padding positions of packed rows, in the encoder and in the decoder."""
        sides = self._cache.prompt_lengths[self._pairs], self._cache.response_lengths[self._pairs]
        (layout,) = lay_out("encoder-decoder", *sides, 4096)
        encoder = sum(len(batch.rows) * batch.encoder for batch in layout)
        decoder = sum(len(batch.rows) * batch.decoder for batch in layout)
        return encoder - int(sides[0].sum()), decoder - int(sides[1].sum())


def check_families(machine: Machine) -> Iterator[Row]:
    """Training of every family in fp32, bf16 and fp16, in each way."""
    for family in FAMILIES:
        student = machine.student(family)
        exact = Computer(student, Ranks(0), "fp32").compute("alone")
        for precision in ("fp32", "bf16", "fp16"):
            what = f"{family} in {precision}: error of loss and gradient"
            if precision not in ("fp32", *machine.formats):
                yield not_here(what, f"{machine.name} has no {precision}")
                continue
            computer = Computer(student, machine.ranks, precision)
            errors = {way: _errors(computer.compute(way), exact) for way in computer.ways}
            limits = dict.fromkeys(errors, np.full(2, EXACT))
            if precision != "fp32":
                rounded = Computer(student, Ranks(0), "fp32", rounded=precision)
                limits = dict.fromkeys(errors, FAITHFUL * errors["alone"])
                limits["alone"] = NOISE * _errors(rounded.compute("alone"), exact)
            # NaN counts as infinite, so that it is the worst share and fails.
            shares = {way: np.nan_to_num(errors[way] / limits[way], nan=np.inf) for way in errors}
            worst = max(shares, key=lambda way: shares[way].max())
            measured, limit = ("{:.1e} {:.1e}".format(*of[worst]) for of in (errors, limits))
            yield judged(what, f"{measured} (worst: {worst})", limit, shares[worst].max() <= 1)
            if precision == machine.formats[0]:
                yield from _ways(family, computer)


def _errors(result: Result, exact: Result) -> np.ndarray:
    """Root mean square error of the losses, and relative error of the gradient. Shape (2,)."""
    loss = (result[0] - exact[0]).square().mean().sqrt()
    gradient = (result[1] - exact[1]).norm() / exact[1].norm()
    return np.array([float(loss), float(gradient)])


def _ways(family: str, computer: Computer) -> Iterator[Row]:
    """Rows for the way that a run chooses, and for each way's attention kernels with dropout."""
    taken, fastest = computer.computation.choice.way, computer.ways[0]
    yield judged(f"{family}: way of training that a job takes", taken, fastest, taken == fastest)
    if fastest == "packed":
        padding = computer.padding()
        text = "{} and {} positions".format(*padding)
        what = f"{family}: padding of encoder and decoder in packed rows"
        yield judged(what, text, "both hold some", all(padding))
    computer.model.train()
    kernels = {way: kernels_of(lambda way=way: computer.compute(way, FEW)) for way in computer.ways}
    text = ", ".join(f"{way}: {names}" for way, names in kernels.items())
    yield judged(f"{family}: attention kernels of training", text, "not cuDNN", "cuDNN" not in text)


def kernels_of(compute: Callable[[], object]) -> str:
    """Names of the attention kernels that a computation uses; `eager` if it uses none of torch.

    torch's profiler records the operators on every device.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        compute()
    # `profile.events()` builds an event tree, which takes longer than the computation.
    names = {event.name() for event in profile.profiler.kineto_results.events()}
    kernels = {kernel for operator, kernel in _KERNELS.items() if operator in names}
    return " and ".join(sorted(kernels)) or "eager"


def check_evaluation(machine: Machine) -> Iterator[Row]:
    """Scores of four-choice questions in bf16 and fp32, with our model loader and scorer."""
    for family in ("T5", "GPT-2"):
        what = f"{family}: scores of {QUESTIONS * CHOICES} choices, bf16 against fp32"
        if "bf16" not in machine.formats:
            yield not_here(what, f"{machine.name} has no bf16")
            continue
        student = machine.student(family)
        path = machine.job(family)[0].initialization.path
        evaluated = EvaluatedModel(
            model=family,
            architecture=student.job.architecture,
            prompt_format=None,
            path=path,
            revision=None,
        )
        scores = {}
        for precision in ("fp32", "bf16"):
            model, _ = load_evaluated_model(evaluated, precision, machine.ranks.device)
            scorer = ProvenScorer(family, model, 4096)
            choices = _choices(student)
            alone = Scorer(model, 4096).score(choices[::SAMPLED], "alone")
            scores[precision] = [
                np.array([likelihood for likelihood, _ in part])
                for part in (scorer.score(choices), alone)
            ]
        assert scorer.choice is not None
        yield _compared(what, scorer.choice.way, scores)
        kernels = kernels_of(lambda s=scorer, c=choices: s.score(c[: FEW * CHOICES]))
        what = f"{family}: attention kernels of evaluation by {scorer.choice.way}"
        yield judged(what, kernels, "not cuDNN", "cuDNN" not in kernels)


def _choices(student: Student) -> list[TokenRequest]:
    """Requests of four choices per prompt: the first tokens of four responses."""
    usable, cache = student.usable().tolist(), student.cache
    return [
        TokenRequest(cache.prompt(usable[n]), cache.response(usable[n + choice])[:CHOICE_TOKENS])
        for n in range(QUESTIONS)
        for choice in range(CHOICES)
    ]


def _compared(what: str, way: str, scores: dict[str, list[np.ndarray]]) -> Row:
    """Row of bf16 errors against those of the model's own forward.

    An answer may change only if its two best choices have close scores.
    """
    error, noise = (
        float(np.sqrt(np.square(short - exact).mean()))
        for short, exact in zip(scores["bf16"], scores["fp32"], strict=True)
    )
    short, exact = (scores[p][0].reshape(QUESTIONS, CHOICES) for p in ("bf16", "fp32"))
    best = np.sort(exact, axis=1)
    margins = (best[:, -1] - best[:, -2])[short.argmax(axis=1) != exact.argmax(axis=1)]
    limit, close = FAITHFUL * noise, 2 * NOISE * noise
    return judged(
        what,
        f"{error:.1e} nats, {len(margins)} of {QUESTIONS} answers change, by {way}",
        f"{limit:.1e} nats, changes below {close:.1e} nats, by shared",
        error <= limit and bool((margins <= close).all()) and way == "shared",
    )
