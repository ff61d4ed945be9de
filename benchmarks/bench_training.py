"""Training speed on the CPU, in pairs per second, compared with Alpaca, TRL and transformers.

`make bench-training`. Each side computes one optimiser step over the same pairs, from the same
weights, in one process; the losses must agree. Pairs have the paper's lengths. The students have
the architectures of GPT-2 and T5, at a size that a CPU can train. TRL uses its fastest packing.
The last part predicts the utilisation of GPUs by all fifteen students (`gpu_model`).
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import gpu_model
import numpy as np
import polars as pl
import training_sides as sides
from paper_students import CONFIGS
from rounds import Timing, alternate, finish, median_wall, print_table, ratio
from training_inputs import LONGEST, Student, make_student, write_pairs

from lamini.prompt_formats import render_prompt
from lamini.settings.params.students import TokenizePairs
from lamini.students.tokenization import tokenize_pairs
from lamini.training.batches import shared_prefix
from lamini.training.layout import lay_out

BARS = {
    "alpaca": 3.3,
    "trl_packing": 1.4,
    "seq2seq_random": 3.2,
    "seq2seq_group_by_length": 2.6,
    "seq2seq_batch_rebalance": 1.5,
    "padding_decoder_only": 1.0,
    "padding_encoder_decoder": 1.0,
    "tokenizing": 4.5,
    "same_loss": 1.0,
}
PADDING = {"gpt2": 0.04, "t5": 0.14}
"""Largest allowed padding share at the paper's global batch."""
GLOBAL_BATCH, BUDGET = 1024, 8192
"""Pairs per step of the paper, and our default of tokens per micro-batch."""
SAME_LOSS = {"gpt2": 1e-3, "t5": 1e-2}
"""Largest relative difference of two losses. T5's peers average the means of micro-batches."""
PACKINGS = ((512, 1), (512, 4), (1024, 1), (2048, 1))
"""Settings of TRL's packing: tokens per row, rows per micro-batch."""
PAPER_PAIRS = 2_580_000


def gpt2_sides(
    student: Student, pairs: np.ndarray, options: argparse.Namespace, folder: Path
) -> dict[str, sides.Side]:
    """The decoder-only sides, with TRL's fastest packing."""
    candidates = {
        f"trl_packing_{rows}x{row}": sides.trl_packing(student, pairs, row, rows, folder)
        for row, rows in PACKINGS
        if row <= options.longest_row
    }
    trials = alternate(candidates, 1)
    best = min(trials, key=lambda name: median_wall(trials[name]))
    print(f"TRL's best packing: {best}", file=sys.stderr)
    return {
        "alpaca": sides.alpaca(student, pairs, options.micro_batch, folder),
        "trl_packing": candidates[best],
        "ours_gpt2": sides.ours(student, pairs, folder),
    }


def t5_sides(
    student: Student, pairs: np.ndarray, options: argparse.Namespace, folder: Path
) -> dict[str, sides.Side]:
    """The encoder-decoder sides."""
    peers = {
        f"seq2seq_{strategy}": sides.seq2seq(student, pairs, options.micro_batch, strategy, folder)
        for strategy in ("random", "group_by_length", "batch_rebalance")
    }
    return {**peers, "ours_t5": sides.ours(student, pairs, folder)}


def train(
    kind: str, dataset: Path, options: argparse.Namespace
) -> tuple[list[list[Any]], dict[str, float], bool]:
    """Time all sides; returns rows of the table, speed ratios, and whether all losses agree."""
    student = make_student(kind, dataset, options.pairs, options.tokens_per_micro_batch)
    pairs = student.usable()[: options.pairs]
    make = gpt2_sides if kind == "gpt2" else t5_sides
    with tempfile.TemporaryDirectory() as folder:
        compared = make(student, pairs, options, Path(folder))
        timings = alternate(compared, options.rounds)
    own = f"ours_{kind}"
    losses = {name: side.losses[-1] for name, side in compared.items()}
    same = all(abs(loss / losses[own] - 1) <= SAME_LOSS[kind] for loss in losses.values())
    ratios = {name: ratio(timings[name], timings[own]) for name in compared if name != own}
    rows = []
    for name, side in compared.items():
        seconds = median_wall(timings[name])
        rows.append(
            [
                name,
                seconds,
                len(pairs) / seconds,
                ratios.get(name, "-"),
                BARS.get(name, "-"),
                f"{side.padding:.1%}",
                f"{losses[name]:.5f}",
            ]
        )
    prompts, responses = _lengths(student, pairs)
    print(
        f"{kind}: {len(pairs)} pairs, mean tokens of prompt and response"
        f" {prompts.mean():.1f} and {responses.mean():.1f}"
    )
    return rows, ratios, same


def padding(kind: str, dataset: Path) -> float:
    """Padding share of our layout in a step of the paper's size."""
    student = make_student(kind, dataset, GLOBAL_BATCH, BUDGET)
    pairs = student.usable()[:GLOBAL_BATCH]
    prompts, responses = _lengths(student, pairs)
    if student.causal:  # the shared prefix is computed once and is not part of the rows
        prompts = prompts - shared_prefix(student.cache, pairs)
    layout = lay_out(student.job.architecture, prompts, responses, BUDGET)[0]
    tokens = prompts.sum() + responses.sum() - (len(pairs) if student.causal else 0)
    return float(1 - tokens / sum(batch.padded_tokens for batch in layout))


def tokenizing(dataset: Path, rounds: int) -> tuple[list[Timing], list[Timing], int]:
    """Timings of TRL's per-example tokenisation and of ours, and the number of pairs."""
    student = make_student("gpt2", dataset, GLOBAL_BATCH, BUDGET)
    texts = pl.read_parquet(dataset)
    rows = datasets.Dataset.from_dict(
        {
            "prompt": [render_prompt("alpaca", text) for text in texts["instruction"]],
            "completion": texts["response"].to_list(),
        }
    )
    settings = TokenizePairs(
        tokenizer=student.job.tokenizer, prompt_format="alpaca", pad_token="[PAD]"
    )
    with tempfile.TemporaryDirectory() as folder:
        prepare = sides.trl_tokenizing(student, Path(folder))
        timings = alternate(
            {
                "trl_tokenizing": lambda: prepare(rows),
                "ours_tokenizing": lambda: tokenize_pairs(
                    dataset=dataset,
                    manifest=Path(folder) / "cache/manifest.json",
                    settings=settings,
                ),
            },
            rounds,
        )
    return timings["trl_tokenizing"], timings["ours_tokenizing"], len(texts)


def _lengths(student: Student, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return student.cache.prompt_lengths[pairs], student.cache.response_lengths[pairs]


def main() -> int:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=512, help="pairs of the optimiser step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--micro-batch", type=int, default=32, help="of the peers, in pairs")
    parser.add_argument("--tokens-per-micro-batch", type=int, default=4096, help="of our trainer")
    parser.add_argument("--longest-row", type=int, default=2048, help="of TRL's packing, in tokens")
    parser.add_argument("--tokenized-pairs", type=int, default=20_000)
    parser.add_argument(
        "--before-tokens",
        type=int,
        default=gpu_model.BEFORE_TOKENS,
        help="of a micro-batch, in the prediction of earlier versions",
    )
    options = parser.parse_args()
    logging.getLogger("lamini").setLevel(logging.WARNING)
    os.environ["LAMINI_PLAIN_PROGRESS"] = "1"
    datasets.disable_progress_bars()
    datasets.disable_caching()
    rows, ratios, exact = [], {}, True
    with tempfile.TemporaryDirectory() as temporary:
        dataset = write_pairs(Path(temporary), max(options.tokenized_pairs, 2 * GLOBAL_BATCH))
        for kind in ("gpt2", "t5"):
            table, new_ratios, same = train(kind, dataset, options)
            rows += table
            ratios |= new_ratios
            exact &= same
        shares = {kind: padding(kind, dataset) for kind in PADDING}
        theirs, own, count = tokenizing(dataset, options.rounds)
    ratios |= {
        "padding_decoder_only": PADDING["gpt2"] / shares["gpt2"],
        "padding_encoder_decoder": PADDING["t5"] / shares["t5"],
        "tokenizing": statistics.median(p.cpu / o.cpu for p, o in zip(theirs, own, strict=True)),
        "same_loss": float(exact),
    }
    print_table(["side", "seconds", "pairs/s", "times faster", "bar", "padding", "loss"], rows)
    print(f"\nPadding at {GLOBAL_BATCH} pairs and {BUDGET} tokens at once, pairs up to {LONGEST}:")
    for kind, share in shares.items():
        print(f"  {kind}: {share:.1%} (bar {PADDING[kind]:.0%})")
    minutes = [
        statistics.median(t.cpu for t in side) * PAPER_PAIRS / count / 60 for side in (theirs, own)
    ]
    print(
        f"Tokenising, CPU minutes for {PAPER_PAIRS:,} pairs: TRL {minutes[0]:.1f},"
        f" ours {minutes[1]:.1f}: {ratios['tokenizing']:.1f} times less"
        f" (bar {BARS['tokenizing']:g})\n"
    )
    predicted, bars = gpu_model.utilisation(list(CONFIGS), options.before_tokens)
    return finish(ratios | predicted, BARS | bars)


if __name__ == "__main__":
    sys.exit(main())
