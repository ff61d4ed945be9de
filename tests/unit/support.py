"""Outcome of training and evaluation per family, measured on its tiny model.

`python tests/unit/support.py --fix` writes docs/support-matrix.md from it; the tests hold the page
to what they measure.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import families
import numpy as np
import torch
from training_cases import recipe, tiny_cache

from lamini.errors import LaminiError
from lamini.evaluation.proven_scorer import ProvenScorer
from lamini.evaluation.requests import TokenRequest
from lamini.forward.own import start_token
from lamini.students.token_cache import TokenCache
from lamini.training.computation import Computation
from lamini.training.job import TrainingJob
from lamini.training.ranks import Ranks

PAGE = Path(__file__).parents[2] / "docs" / "support-matrix.md"
REFUSED = "refused"
_BEFORE = """# Which models can be trained and evaluated

Every text model type of the pinned transformers that can be built small was built with random
weights ({rows} rows, {types} types), trained on 24 pairs and asked 64 requests. Where a way is
named, losses, gradients and log-likelihoods are those of the model's own forward, one sequence at a
time, in fp32: the tests of this page fail otherwise. A model is never computed by a way that
differs; what the model's own forward can't compute is refused by name. Your model is proven in the
same manner at the start of each of its jobs, whether its type stands here or not.

| way | what it is |
|---|---|
| `packed`, `shared_prefix`, `shared` | several pairs or requests in a row, or their prefix once |
| `rows` | a row for each pair or request, in batches; the output head on scored places only |
| `alike` | in evaluation: sequences of equal length in a batch, by the model's own forward |
| `alone` | one sequence at a time by the model's own forward: right, and slow |
| refused | the job ends at its start and says why |

The rows here have windows of 16 tokens and attend to more, so that a window shows; a model whose
window is as long as its longest request shares rows.

| model type | variant | training | evaluation |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Support:
    """The measured outcome for one family."""

    training: str
    """The way, or `refused`."""
    evaluation: str
    loss: float = 0.0
    """Largest difference of a token's loss from the model's own forward, in nats."""
    gradient: float = 0.0
    """Difference of the gradient from the model's own forward, relative to its norm."""
    likelihood: float = 0.0
    """Largest difference of a request's log-likelihood, in nats."""


def measure(name: str, cache: TokenCache) -> Support:
    """Train and evaluate the tiny model of a family; compare with its own forward pass."""
    training, loss, gradient = _trained(name, cache)
    evaluation, likelihood = _evaluated(name)
    return Support(training, evaluation, loss, gradient, likelihood)


def small_cache(folder: Path) -> TokenCache:
    """Pairs with a common prompt prefix and different lengths."""
    return tiny_cache(folder, longest=30, shared=11)


def _trained(name: str, cache: TokenCache) -> tuple[str, float, float]:
    model = families.build(name).train()
    everything = np.arange(len(cache))
    try:
        computation = Computation(
            job=_job(name),
            model=model,
            start_token=start_token(model) if model.config.is_encoder_decoder else 1,
            cache=cache,
            used=everything,
            ranks=Ranks(0),
            work=cache.folder,
        )
    except LaminiError as error:
        assert name in str(error)
        return REFUSED, 0.0, 0.0
    way = computation.choice.way
    losses = [-part for part in computation.log_likelihoods(everything, way)]
    model.zero_grad()
    sums = computation.sums(computation.prepare(everything, np.ones(len(cache))), 1.0)
    ours = _gradient(model)
    own = [
        families.own_losses(
            model, name, torch.tensor(cache.prompt(pair)), torch.tensor(cache.response(pair))
        )
        for pair in everything.tolist()
    ]
    torch.cat(own).sum().backward()
    theirs = _gradient(model)
    assert abs(sums.loss / float(torch.cat(own).sum().detach()) - 1) < 1e-5
    apart = max(float((a - b).detach().abs().max()) for a, b in zip(losses, own, strict=True))
    return way, apart, float((ours - theirs).norm() / theirs.norm())


def _job(name: str) -> TrainingJob:
    return TrainingJob.model_validate(
        {
            "model": name,
            "name": name,
            "architecture": families.architecture(name),
            "initialization": {"path": name},
            "tokenizer": {"path": name},
            "prompt_format": "bare",
            "pad_token": None,
            "recipe": recipe(tokens_per_micro_batch=600).as_params(),
        }
    )


def _gradient(model: Any) -> torch.Tensor:
    parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
    gradient = torch.cat([part.flatten().double() for part in parts])
    model.zero_grad()
    return gradient


def _evaluated(name: str) -> tuple[str, float]:
    model = families.build(name).eval()
    scorer = ProvenScorer(name, model, 512)
    requests = _requests()
    try:
        scores = scorer.score(requests)
    except LaminiError as error:
        assert name in str(error)
        return REFUSED, 0.0
    assert scorer.choice is not None
    apart = 0.0
    end = [1] if model.config.is_encoder_decoder else []  # what mBART's own labels end with
    for request, (likelihood, _) in zip(requests, scores, strict=True):
        ended = torch.tensor(np.append(request.continuation, end).astype(np.int64))
        with torch.no_grad():
            losses = families.own_losses(model, name, torch.tensor(request.context), ended)
        own = losses[: len(request.continuation)].double().sum()
        apart = max(apart, abs(likelihood + float(own)))
    return scorer.choice.way, apart


def _requests() -> list[TokenRequest]:
    """Requests with shared contexts and shared prefixes; two are equal."""
    generator = np.random.default_rng(1)
    stems = [generator.integers(2, families.VOCABULARY, size=n) for n in (20, 30, 40)]
    requests = []
    for number in range(62):
        own = generator.integers(2, families.VOCABULARY, size=(number // 12) % 3 * 4)
        continuation = generator.integers(2, families.VOCABULARY, size=1 + number % 4)
        requests.append(TokenRequest(np.concatenate([stems[number % 3], own]), continuation))
    return [*requests, requests[0], TokenRequest(np.array([5]), np.array([7]))]


def page(measured: dict[str, Support]) -> str:
    """The text of docs/support-matrix.md."""
    rows = sorted((families.FAMILIES[name]["model_type"], name) for name in measured)
    types = {model_type for model_type, _ in rows}
    lines = [_BEFORE.format(rows=len(rows), types=len(types)).rstrip("\n")]
    for model_type, name in rows:
        variant = "" if name == model_type else name
        support = measured[name]
        ways = (
            way if way == REFUSED else f"`{way}`" for way in (support.training, support.evaluation)
        )
        lines.append(f"| {model_type} | {variant} | {' | '.join(ways)} |")
    lines += ["", "Not built, and so not measured:", "", "| model type | reason |", "|---|---|"]
    lines += [f"| {model_type} | {why} |" for model_type, why in sorted(families.NOT_BUILT.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all families and write the page; without `--fix`, print it."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        cache = small_cache(Path(folder))
        measured = {}
        for name in families.FAMILIES:
            measured[name] = measure(name, cache)
            print(name, measured[name], file=sys.stderr, flush=True)
    if "--fix" in sys.argv:
        PAGE.write_text(page(measured))
    else:
        print(page(measured))


if __name__ == "__main__":
    main()
