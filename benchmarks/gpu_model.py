"""Predicted utilisation of A100 and H100 by all fifteen students, without a GPU.

The last part of `make bench-training`; alone: `python benchmarks/gpu_model.py`. Kernels, operations
and bytes are counted (`kernel_counts`). Matrix products reach 60% of the peak, other kernels the
bandwidth of the memory, and the CPU starts a kernel in 5 or 10 microseconds. Micro-batches are laid
out by the code of training, from pairs with the paper's lengths. Work of the CPU between steps is
measured here. The prediction is a lower bound of the time: real kernels are slower.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import training_sides as sides
from kernel_counts import Counts, as_on_gpu, count, meta_model
from paper_students import CONFIGS
from rounds import finish, print_table
from training_inputs import Student, make_student, write_pairs

from lamini.arrays import Integers
from lamini.settings.students import Architecture
from lamini.training.batches import Batch, make_batch, make_flat_batch, shared_prefix
from lamini.training.compilation import blocks_of
from lamini.training.computation import Sums
from lamini.training.gpus import GPUS, Gpu
from lamini.training.layout import MicroBatch, choose_shapes, lay_out, lay_out_flat
from lamini.training.losses import Likelihoods, token_losses
from lamini.training.micro_batches import Measurement, MicroBatchCosts, derive_costs
from lamini.training.ranks import Ranks
from lamini.training.telemetry import MatmulWork
from lamini.training.ways import Way, ways_to_try

MATRIX_SHARE = 0.6
LAUNCHES = (5e-6, 10e-6)
"""Seconds of the CPU to start a kernel; the bars hold for the second."""
MEMORY = {"A100": 80e9, "H100": 80e9, "H200": 141e9}
LINK = {"A100": 240e9, "H100": 360e9}
"""Bytes per second of a reduction over eight GPUs: 80% of one direction of NVLink."""
PAIRS = 1024
BEFORE_TOKENS = 2900
"""Tokens of a micro-batch before micro-batches were sized for GPUs."""
BEFORE_HOST = 0.031
"""Seconds of the CPU in series with the GPU in each step at that time, as counted then."""
SIZES = (2048, 16384)
"""Tokens of the counted micro-batches; others are interpolated."""
HIDDEN_SECONDS = 0.002
"""Largest work of the CPU in a step that the GPU has to wait for."""
BARS = {
    "a100_gpt": 0.45,
    "a100_t5_base": 0.35,
    "a100_t5_small": 0.25,
    "h100_gpt": 0.35,
    "h100_t5_base": 0.25,
    "h100_t5_small": 0.15,
    "host_work": 1.0,
}
"""Least predicted utilisation of one GPU by the worst student of a group, compiled if that is
faster, at 10 microseconds."""
MEASURED = {
    ("lamini-gpt-124m", 1024): 473_000,
    ("lamini-gpt-124m", 256): 407_000,
    ("lamini-t5-223m", 1024): 159_000,
    ("lamini-t5-223m", 256): 124_000,
}
"""Tokens per second on an H200 without dropout, by student and pairs per step (docs/gpu.md)."""
Value = Callable[[Counts], float]


@dataclass(frozen=True)
class Lengths:
    """Lengths of a step's pairs in tokens, and of the prefix that all prompts share."""

    prompts: Integers
    responses: Integers
    shared: int

    @property
    def tokens(self) -> int:
        """Prompt and response tokens."""
        return int(self.prompts.sum() + self.responses.sum())


class Model:
    """Counted micro-batches of one student in one way of computation.

    Args:
        config: its Hugging Face configuration.
        lengths: of the pairs.
        way: way of computation; None: the fastest one on a GPU.
        compiled: whether its recipe says `compile: true`.
    """

    def __init__(
        self,
        config: dict[str, Any],
        lengths: Lengths,
        way: Way | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        self._compiled = compiled
        whole = meta_model(config)
        self.causal = not whole.config.is_encoder_decoder
        self.architecture: Architecture = "decoder-only" if self.causal else "encoder-decoder"
        self.parameters = sum(p.numel() for p in whole.parameters())
        self.tensors = len(list(whole.parameters()))
        self.work = MatmulWork(whole, self.architecture)
        with as_on_gpu():
            self.way: Way = way or ways_to_try(whole, "bf16", compiled=compiled)[0]
        self._layers = whole.config.num_hidden_layers
        few = 2 if "attention_types" in config else 1  # GPT-Neo has layers of two kinds in turn
        self._few = few, 2 * few
        self._lengths = lengths
        self._counts = {
            (layers, size): self._count(_with_layers(config, layers), size)
            for layers in self._few
            for size in SIZES
        }

    def _count(self, config: dict[str, Any], size: int) -> tuple[int, Counts]:
        model = meta_model(config)
        tokens, batch = _meta_batch(self._lengths, size, self.way)

        def loss(likelihoods: Likelihoods) -> torch.Tensor:
            return (token_losses(model, batch, self.way, likelihoods) * batch.weights).sum()

        return tokens, count(loss, blocks_of(model) if self._compiled else None)

    def value(self, tokens: float, value: Value) -> float:
        """A value of the counts, for a micro-batch of so many tokens and all layers."""
        few, more = self._few
        at: list[tuple[int, float]] = []
        for size in SIZES:
            (used, first), (_, second) = self._counts[few, size], self._counts[more, size]
            per_layer = (value(second) - value(first)) / (more - few)
            at.append((used, value(first) + per_layer * (self._layers - few)))
        (small, less), (large, most) = at
        return less + (most - less) * (tokens - small) / (large - small)

    def seconds(self, tokens: float, gpu: Gpu) -> float:
        """Time of a micro-batch's kernels on a GPU."""
        return self.value(tokens, lambda c: c.seconds(gpu.peak, gpu.bandwidth, MATRIX_SHARE))

    @property
    def kernels(self) -> float:
        """Kernels of a micro-batch, the first of a step."""
        return self.value(SIZES[0], lambda counts: len(counts.flops))

    def costs(self, card: str, launch: float) -> MicroBatchCosts:
        """Costs that a run would measure on a GPU (`measure_costs`)."""
        samples = []
        for tokens in (1024, 16384):
            seconds = max(self.seconds(tokens, GPUS[card]), self.kernels * launch)
            memory = self.value(tokens, lambda counts: counts.peak)
            samples.append(Measurement(tokens, seconds, int(memory)))
        free = MEMORY[card] - 1e9 - (4 + 8) * self.parameters  # weights and moments
        return derive_costs(samples, int(free))

    def layout(self, costs: MicroBatchCosts, ranks: int) -> list[list[MicroBatch]]:
        """Micro-batches of a step for each rank, by the code of training."""
        lengths = self._lengths
        if self.way == "flat":
            return lay_out_flat(lengths.prompts, lengths.responses, costs.budget, ranks)
        if self.way == "packed":
            return _packed(lengths.prompts, lengths.responses, costs, ranks)
        return lay_out(
            self.architecture,
            lengths.prompts - lengths.shared,
            lengths.responses,
            costs.budget,
            ranks,
            packed=False,
            overhead=costs.overhead,
        )


@dataclass(frozen=True)
class Host:
    """Work of the CPU in a step, without the start of kernels, in seconds."""

    layout: float
    """Layout of the next step, made on every rank while the GPU computes."""
    batches: float
    """Batches of the next step, of all ranks; each makes its own while the GPU computes."""
    serial: float
    """Everything else; the GPU waits for it."""


@dataclass(frozen=True)
class Step:
    """Predicted step."""

    seconds: float
    waiting: float
    """Seconds in which the GPU waits for other work of the CPU than the start of kernels."""
    utilisation: float
    """Share of the peak of all GPUs."""


def predict(
    model: Model,
    lengths: Lengths,
    card: str,
    launch: float,
    *,
    host: Host,
    sizes: Sequence[Sequence[float]],
) -> Step:
    """Predict a step.

    Args:
        model: the student.
        lengths: of the step's pairs.
        card: the GPU.
        launch: seconds to start a kernel.
        host: other work of the CPU.
        sizes: padded tokens of each micro-batch of each GPU.
    """
    gpu, parameters, ranks = GPUS[card], model.parameters, len(sizes)
    times = []
    for share in sizes:
        further = max(len(share) - 1, 0)  # their gradients are added to those of the first
        device = sum(model.seconds(tokens, gpu) for tokens in share)
        device += further * 12 * parameters / gpu.bandwidth
        kernels = len(share) * model.kernels + further * model.tensors
        times.append((max(device, kernels * launch), kernels * launch))
    slowest, launched = max(times)
    # Norm and clipping of the gradients, AdamW: 12 and 28 bytes per parameter.
    update = 40 * parameters / gpu.bandwidth
    exchange = 8 * parameters * (ranks - 1) / ranks / LINK[card] if ranks > 1 else 0.0
    prepared = host.layout + host.batches / ranks
    waiting = host.serial + max(0.0, launched + prepared - slowest)
    seconds = slowest + update + exchange + waiting
    flops = model.work.flops(int(lengths.prompts.sum()), int(lengths.responses.sum()))
    return Step(seconds, waiting, flops / seconds / gpu.peak / ranks)


def _packed(
    prompts: Integers, responses: Integers, costs: MicroBatchCosts, ranks: int
) -> list[list[MicroBatch]]:
    """Layout of an encoder-decoder's packed rows, in the shapes that a run would choose."""
    budget, overhead = costs.budget, costs.overhead
    return lay_out(
        "encoder-decoder",
        prompts,
        responses,
        budget,
        ranks,
        overhead=overhead,
        row_shapes=choose_shapes(
            prompts, responses, pairs=PAIRS, budget=budget, overhead=overhead, ranks=ranks
        ),
    )


def _with_layers(config: dict[str, Any], layers: int) -> dict[str, Any]:
    name = "n_layer" if config["model_type"] == "gpt2" else "num_layers"
    changed = {**config, name: layers}
    if "attention_types" in config:
        changed["attention_types"] = [[["global", "local"], layers // 2]]
    return changed


def _meta_batch(lengths: Lengths, size: int, way: Way) -> tuple[int, Batch]:
    """Number of tokens and tensors without data of a micro-batch with pairs of mean length."""
    prompt, response = float(lengths.prompts.mean()), float(lengths.responses.mean())

    def zeros(*shape: int, kind: torch.dtype = torch.long) -> torch.Tensor:
        return torch.zeros(shape, dtype=kind, device="meta")

    longest = 0
    if way == "flat":
        all_fed = lengths.prompts + lengths.responses - 1
        pairs = max(1, round(size / float(all_fed.mean())))
        tokens, longest = size, round(float(np.sqrt((all_fed.astype(float) ** 2).mean())))
        inputs = {
            "input_ids": zeros(1, size),
            "position_ids": zeros(1, size),
            "boundaries": zeros(pairs + 1, kind=torch.int32),
        }
    elif way == "packed":
        share = prompt / (prompt + response)
        encoder, decoder = round(512 * share / 8) * 8, round(512 * (1 - share) / 8) * 8
        rows = max(1, round(size / (encoder + decoder)))
        tokens = rows * (encoder + decoder)
        pairs = round(tokens / (prompt + response))
        inputs = {
            "input_ids": zeros(rows, encoder),
            "decoder_input_ids": zeros(rows, decoder),
            "encoder_segments": zeros(rows, encoder),
            "decoder_segments": zeros(rows, decoder),
        }
    elif way == "shared_prefix":
        width = round(prompt + response - 1 - lengths.shared)
        pairs = max(1, round(size / width))
        tokens = pairs * width
        inputs = {"input_ids": zeros(pairs, width), "prefix_ids": zeros(1, lengths.shared)}
    else:
        raise ValueError(f"no batches for the way {way}")
    supervised = max(1, round(pairs * response))
    batch = Batch(
        inputs=inputs,
        positions=zeros(supervised),
        labels=zeros(supervised),
        weights=zeros(supervised, kind=torch.float32),
        longest=longest,
    )
    return tokens, batch


def step_lengths(student: Student, pairs: int) -> Lengths:
    """Lengths of a step's pairs."""
    taken, cache = student.usable()[:pairs], student.cache
    shared = shared_prefix(cache, taken) if student.causal else 0
    return Lengths(cache.prompt_lengths[taken], cache.response_lengths[taken], shared)


def measure_host(student: Student, folder: Path) -> Host:
    """CPU time of a step's host work, the least of some repetitions."""
    pairs, cache = student.usable()[:PAIRS], student.cache
    weights = np.ones(len(pairs))
    prompts, responses = cache.prompt_lengths[pairs], cache.response_lengths[pairs]

    def lay_out_step() -> list[MicroBatch]:
        if student.causal:
            return lay_out_flat(prompts, responses, costs.budget)[0]
        return lay_out(
            "encoder-decoder",
            prompts,
            responses,
            costs.budget,
            overhead=costs.overhead,
            row_shapes=row_shapes,
        )[0]

    def fill() -> None:
        for micro_batch in laid_out:
            if student.causal:
                make_flat_batch(cache, pairs, weights, micro_batch)
            else:
                make_batch(
                    cache,
                    pairs,
                    weights,
                    micro_batch,
                    architecture="encoder-decoder",
                    start_token=student.start_token,
                )

    costs = MicroBatchCosts(budget=2**17, overhead=2**13)
    row_shapes = choose_shapes(
        prompts, responses, pairs=PAIRS, budget=costs.budget, overhead=costs.overhead
    )
    laid_out = lay_out_step()

    trainer: Any = sides.our_trainer(student, student.model, pairs, folder, Ranks(0))
    trainer._computation.sums = lambda *_, **__: Sums(loss=1.0, tokens=1, padding=0.0)
    trainer._update = lambda rate: 1.0
    prepared = trainer._prepared(0)

    def serial() -> None:
        trainer._ahead = 0, prepared
        trainer._telemetry.record(trainer.step(0))

    return Host(_least_seconds(lay_out_step), _least_seconds(fill), _least_seconds(serial))


def _least_seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def _group(student: str) -> str | None:
    """Bar of a student: `gpt` (GPT-2 and Cerebras-GPT from 124M parameters), `t5_base`, `t5_small`.

    GPT-Neo has none: its attention in transformers is written without torch's kernels.
    """
    if "t5" in student:
        return "t5_small" if student.endswith(("61m", "77m")) else "t5_base"
    return None if "neo" in student or student.endswith("111m") else "gpt"


def utilisation(
    students: Sequence[str], before_tokens: int = BEFORE_TOKENS
) -> tuple[dict[str, float], dict[str, float]]:
    """Print the predictions; returns ratios and bars for the benchmark's last line."""
    rows: list[list[object]] = []
    ratios: dict[str, float] = {}
    waits: dict[str, float] = {}
    compared: list[list[object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = write_pairs(folder, 2 * PAIRS)
        inputs = {k: make_student(k, dataset, PAIRS, "auto") for k in ("gpt2", "t5")}
        lengths = {kind: step_lengths(student, PAIRS) for kind, student in inputs.items()}
        hosts = {k: measure_host(s, folder / f"work-{k}") for k, s in inputs.items()}
        for name in students:
            config = CONFIGS[name]
            kind = "t5" if config["model_type"] == "t5" else "gpt2"
            step = lengths[kind]
            now = Model(config, step)
            old = now if kind == "t5" else Model(config, step, "shared_prefix")
            # GPT-Neo has no flat row; compiled, it has no shared prefix either, and is not counted.
            fast = None if now.way == "shared_prefix" else Model(config, step, compiled=True)
            models = [now, fast] if fast else [now]
            row: list[object] = [name, now.way]
            row += [round(model.kernels) for model in (old, *models)] + ["–"] * (2 - len(models))
            row.append(_padding(now, step))
            for card in ("A100", "H100"):
                for ranks in (1, 8):
                    fed = step.tokens - (step.shared * PAIRS if kind == "gpt2" else 0)
                    parts = max(1, round(fed / before_tokens / ranks))
                    cut = [[fed / ranks / parts] * parts] * ranks
                    serial = Host(0.0, 0.0, BEFORE_HOST)
                    shown = []
                    for launch in LAUNCHES:
                        shown.append(predict(old, step, card, launch, host=serial, sizes=cut))
                    made = []
                    for model in models:
                        for launch in LAUNCHES:
                            laid_out = model.layout(model.costs(card, launch), ranks)
                            sizes = [[batch.padded_tokens for batch in share] for share in laid_out]
                            predicted = predict(
                                model, step, card, launch, host=hosts[kind], sizes=sizes
                            )
                            shown.append(predicted)
                        made.append(predicted)
                    row += [_range(shown[:2]), _range(shown[2:4])]
                    row.append(_range(shown[4:]) if fast else "–")
                    if ranks == 1:
                        best = max(made, key=lambda one: one.utilisation)
                        waits[f"{name} {card}"] = best.waiting
                        group = _group(name)
                        if group:
                            key = f"{card.lower()}_{group}"
                            ratios[key] = min(ratios.get(key, math.inf), best.utilisation)
            rows.append(row)
            print("  counted:", *row, file=sys.stderr, flush=True)
            for pairs in (1024, 256):
                if (name, pairs) in MEASURED:
                    compared.append(_comparison(name, step_lengths(inputs[kind], pairs), pairs))
    _print(rows, compared, hosts, waits)
    ratios["host_work"] = HIDDEN_SECONDS / max(waits.values())
    return ratios, {name: bar for name, bar in BARS.items() if name in ratios}


def _comparison(name: str, lengths: Lengths, pairs: int) -> list[object]:
    """Predicted and measured tokens per second on an H200, without dropout."""
    dropouts = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout_rate")
    model = Model({**CONFIGS[name], **dict.fromkeys(dropouts, 0.0)}, lengths)
    launch, host = LAUNCHES[1], Host(0.0, 0.0, HIDDEN_SECONDS)
    sizes = [[b.padded_tokens for b in s] for s in model.layout(model.costs("H200", launch), 1)]
    predicted = (
        lengths.tokens / predict(model, lengths, "H200", launch, host=host, sizes=sizes).seconds
    )
    measured = MEASURED[name, pairs]
    apart = f"{predicted / measured:.2f}"
    return [name, pairs, f"{predicted:,.0f}", f"{measured:,}", apart]


def _padding(model: Model, lengths: Lengths) -> str:
    """Micro-batches of a step on one A100, and their padding."""
    batches = model.layout(model.costs("A100", LAUNCHES[1]), 1)[0]
    fed = lengths.tokens - (len(lengths.prompts) if model.causal else 0)
    fed -= lengths.shared * len(lengths.prompts) if model.way == "shared_prefix" else 0
    return f"{len(batches)}, {1 - fed / sum(b.padded_tokens for b in batches):.0%}"


def _range(steps: Sequence[Step]) -> str:
    return "-".join(f"{100 * step.utilisation:.0f}" for step in reversed(steps)) + "%"


def _print(
    rows: list[list[object]],
    compared: list[list[object]],
    hosts: dict[str, Host],
    waits: dict[str, float],
) -> None:
    cards = [f"{card} x{n}" for card in ("A100", "H100") for n in (1, 8)]
    heading = ["student", "way", "kernels before", "now", "compiled", "micro-batches, padding"]
    heading += [f"{card} {when}" for card in cards for when in ("before", "now", "compiled")]
    print("\nPredicted utilisation, with 10 to 5 microseconds per kernel:")
    print_table(heading, rows)
    for kind, host in hosts.items():
        print(
            f"{kind}: CPU time of a step in ms: layout {1e3 * host.layout:.1f}, batches"
            f" {1e3 * host.batches:.1f}, between steps {1e3 * host.serial:.1f}"
        )
    worst = max(waits, key=lambda name: waits[name])
    print(f"Longest wait of one GPU for the CPU: {1e3 * waits[worst]:.1f} ms a step ({worst})")
    if compared:
        print("\nOn an H200, tokens per second:")
        print_table(["student", "pairs", "predicted", "measured", "ratio"], compared)
    print()


def main() -> int:
    """Predict all students, or some of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", nargs="*", default=list(CONFIGS), choices=list(CONFIGS))
    parser.add_argument("--before-tokens", type=int, default=BEFORE_TOKENS)
    options = parser.parse_args()
    os.environ["LAMINI_PLAIN_PROGRESS"] = "1"
    return finish(*utilisation(options.students, options.before_tokens))


if __name__ == "__main__":
    sys.exit(main())
