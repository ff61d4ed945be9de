"""Both sides of the evaluation benchmark: stock lm-eval and ours, on equal requests.

Times are measured. Kernels are counted: the torch operators of a computation that would each start
a kernel on a GPU, where starting them limits small models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rounds import Timing, alternate, median_wall
from torch.utils._python_dispatch import TorchDispatchMode

LONGEST = {"max_length": 2048}
_NO_KERNEL = ("empty", "detach", "lift_fresh", "_unsafe_view", "_local_scalar_dense")
"""Starts of the names of operators that start no kernel; neither do views."""


@dataclass(frozen=True)
class Compared:
    """Result of one comparison."""

    stock: list[Timing]
    ours: list[Timing]
    difference: float
    """Largest difference of a log-likelihood in nats; 0 for texts."""
    changed: int
    """Number of examples with another answer."""
    batch: int
    """Fastest batch size of stock."""
    kernels: tuple[float, float]
    """Kernels per request, of stock and of ours."""


class Kernels(TorchDispatchMode):
    """Counter of the kernels that a computation would start on a GPU."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operator, or the parts of a composite one."""
        with self:
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        name = func.name().partition("::")[2]
        self.count += not (func.is_view or name.startswith(_NO_KERNEL))
        return func(*args, **(kwargs or {}))


def kernels_per_request(compute: Callable[[], Sequence[Any]]) -> float:
    """Kernels of a computation, divided by the number of its results."""
    with Kernels() as kernels:
        results = compute()
    return kernels.count / len(results)


def compare_scores(
    model: Any, tokenizer: Any, requests: list[Any], rounds: int, tokens_per_batch: int | None
) -> Compared:
    """Log-likelihoods of stock and ours."""

    def stock(size: int, part: list[Any]) -> list[Any]:
        return stock_model(model, tokenizer, size).loglikelihood(part, disable_tqdm=True)

    ours = our_model(model, tokenizer, tokens_per_batch)
    batch, timings, results = _alternated(requests, rounds, (1, 4, 16), stock, ours.loglikelihood)
    both = list(zip(results["stock"], results["ours"], strict=True))
    return Compared(
        timings["stock"],
        timings["ours"],
        max(abs(a[0] - b[0]) for a, b in both),
        changed(requests, both),
        batch,
        (
            kernels_per_request(lambda: stock(batch, requests[::10])),
            kernels_per_request(lambda: ours.loglikelihood(requests)),
        ),
    )


def compare_texts(
    model: Any, tokenizer: Any, requests: list[Any], rounds: int, tokens_per_batch: int | None
) -> Compared:
    """Generated texts of stock (transformers' `generate`) and ours."""

    def stock(size: int, part: list[Any]) -> list[Any]:
        return stock_model(model, tokenizer, size).generate_until(part, disable_tqdm=True)

    ours = our_model(model, tokenizer, tokens_per_batch)
    batch, timings, results = _alternated(requests, rounds, (1, 8), stock, ours.generate_until)
    pairs = zip(results["stock"], results["ours"], strict=True)
    return Compared(
        timings["stock"],
        timings["ours"],
        0.0,
        sum(one != other for one, other in pairs),
        batch,
        (
            kernels_per_request(lambda: stock(batch, requests)),
            kernels_per_request(lambda: ours.generate_until(requests)),
        ),
    )


def _alternated(
    requests: list[Any],
    rounds: int,
    sizes: tuple[int, ...],
    stock: Callable[[int, list[Any]], list[Any]],
    ours: Callable[[list[Any]], list[Any]],
) -> tuple[int, dict[str, list[Timing]], dict[str, list[Any]]]:
    """Fastest batch size of stock on a part of the requests; then timings and results of both."""
    part = requests[:: max(1, min(10, len(requests) // 16))]
    trial = {str(size): lambda size=size: stock(size, part) for size in sizes}
    batch = min((median_wall(t), int(name)) for name, t in alternate(trial, 1).items())[1]
    results: dict[str, list[Any]] = {}
    sides = {
        "stock": lambda: results.update(stock=stock(batch, requests)),
        "ours": lambda: results.update(ours=ours(requests)),
    }
    return batch, alternate(sides, rounds), results


def stock_model(model: Any, tokenizer: Any, size: int) -> Any:
    """Stock lm-eval's model."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(model, tokenizer=tokenizer, batch_size=size, **LONGEST)


def our_model(model: Any, tokenizer: Any, tokens_per_batch: int | None) -> Any:
    """Our model for lm-eval."""
    from lamini.evaluation.harness import LaminiLM

    return LaminiLM(
        model, tokenizer=tokenizer, protocol="modern", tokens_per_batch=tokens_per_batch, **LONGEST
    )


def changed(requests: list[Any], both: list[tuple[Any, Any]]) -> int:
    """Number of examples with a different most likely choice."""
    examples: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for request, (a, b) in zip(requests, both, strict=True):
        examples.setdefault((request.task_name, request.doc_id), []).append((a[0], b[0]))
    best = [
        [max(range(len(choices)), key=lambda i: choices[i][side]) for side in (0, 1)]
        for choices in examples.values()
    ]
    return sum(a != b for a, b in best)
