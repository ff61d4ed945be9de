"""The sides of `bench_training`: each computes one optimiser step over the same pairs.

All sides get tokenised pairs, and no side writes a checkpoint. Features of peers that only cost
time here (gradient checkpointing) are switched off. TRL applies its output head to supervised
positions only; it does this by default on GPUs, and the benchmark enables it on the CPU.
"""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from training_inputs import LONGEST, Student
from transformers import (
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

from lamini.training.loop import Trainer as OurTrainer
from lamini.training.pairs import Selection
from lamini.training.ranks import Ranks

IGNORED = -100
"""Label that transformers ignores in the loss."""
QUIET: dict[str, Any] = {
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "use_cpu": True,
    "num_train_epochs": 1,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "constant",
    "bf16": False,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}


@dataclass
class Side:
    """One implementation of the optimiser step."""

    step: Callable[[], float]
    """Computes the step; returns the loss per supervised token."""
    losses: list[float] = field(default_factory=list)
    """Loss of each run of the step."""
    trainer: Trainer | None = None
    """transformers' trainer; None for our side."""
    padding: float | None = None
    """Share of padding among the computed positions."""

    def __call__(self) -> None:
        """Compute the step and keep its loss."""
        self.losses.append(self.step())


class PaddingCounter:
    """A collator that also measures the padding share."""

    def __init__(self, collator: Callable[..., Any], side: Side, pad: int) -> None:
        self._collator, self._side, self._pad = collator, side, pad
        self._tokens = self._positions = 0

    def __call__(self, examples: list[dict[str, Any]]) -> Any:
        """Collate the examples and update the side's padding share."""
        batch = self._collator(examples)
        sides = [batch["input_ids"]]
        if "decoder_input_ids" in batch:
            sides.append(batch["labels"])
        self._positions += sum(part.numel() for part in sides)
        self._tokens += sum(int(((p != self._pad) & (p != IGNORED)).sum()) for p in sides)
        self._side.padding = 1 - self._tokens / self._positions
        return batch


def our_trainer(
    student: Student, model: Any, pairs: np.ndarray, folder: Path, ranks: Ranks
) -> OurTrainer:
    """Our trainer for a model and its training pairs."""
    none = np.empty(0, np.int64)
    return OurTrainer(
        job=student.job,
        model=model,
        start_token=student.start_token,
        cache=student.cache,
        selection=Selection(training=pairs, held_out=none, left_out=[]),
        work=folder,
        ranks=ranks,
        fingerprint="",
    )


def ours(student: Student, pairs: np.ndarray, folder: Path) -> Side:
    """Our side."""
    model, restore = _copy(student)
    trainer = our_trainer(student, model, pairs, folder, Ranks(0))

    def step() -> float:
        restore()
        with _deterministic():
            row = trainer.step(0)
        side.padding = row.padding_share
        assert row.loss is not None
        return row.loss

    side = Side(step)
    return side


def alpaca(
    student: Student, pairs: np.ndarray, micro_batch: int, folder: Path, **changes: Any
) -> Side:
    """Stanford Alpaca's `train.py`: random micro-batches, padded to the longest pair.

    `changes` are arguments of transformers' TrainingArguments, also in the functions below.
    """
    pad = student.tokenizer.pad_token_id

    def collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        def padded(key: str, value: int) -> torch.Tensor:
            rows = [torch.tensor(example[key]) for example in examples]
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

        ids = padded("input_ids", pad)
        return {
            "input_ids": ids,
            "labels": padded("labels", IGNORED),
            "attention_mask": ids.ne(pad),
        }

    settings = TrainingArguments(
        output_dir=str(folder),
        remove_unused_columns=False,
        **_sizes(len(pairs), micro_batch) | QUIET | changes,
    )
    _use_one_device(settings)
    model, restore = _copy(student)
    return _trained(Trainer(model, settings, collate, _dataset(student, pairs)), restore, pad)


def trl_packing(
    student: Student, pairs: np.ndarray, row: int, rows: int, folder: Path, **changes: Any
) -> Side:
    """TRL's SFTTrainer with packing: `row` tokens per row, `rows` rows per micro-batch."""
    import trl
    import trl.trainer.utils

    # TRL calls this function to decide whether the head skips positions without loss.
    trl.trainer.utils._use_triton = lambda device: True
    settings = trl.SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=rows,
        packing=True,
        max_length=row,
        packing_strategy="bfd",
        **QUIET | changes,
    )
    _use_one_device(settings)
    model, restore = _copy(student)
    trainer = trl.SFTTrainer(
        model, settings, train_dataset=_dataset(student, pairs), processing_class=student.tokenizer
    )
    # One optimiser step over all pairs, for any number of packed rows.
    trainer.args.gradient_accumulation_steps = -(-len(trainer.train_dataset) // rows)
    return _trained(trainer, restore, student.tokenizer.pad_token_id)


def trl_tokenizing(student: Student, folder: Path) -> Callable[[datasets.Dataset], Any]:
    """TRL's preparation of a dataset with the columns `prompt` and `completion`."""
    import trl

    settings = trl.SFTConfig(output_dir=str(folder), max_length=LONGEST, **QUIET)
    any_pair = datasets.Dataset.from_dict({"prompt": ["a"], "completion": ["b"]})
    trainer = trl.SFTTrainer(
        _copy(student)[0], settings, train_dataset=any_pair, processing_class=student.tokenizer
    )
    return lambda rows: trainer._prepare_dataset(
        rows, student.tokenizer, settings, False, None, "train"
    )


def seq2seq(
    student: Student,
    pairs: np.ndarray,
    micro_batch: int,
    strategy: str,
    folder: Path,
    **changes: Any,
) -> Side:
    """transformers' Seq2SeqTrainer with one of its sampling strategies."""
    settings = Seq2SeqTrainingArguments(
        output_dir=str(folder),
        train_sampling_strategy=strategy,
        # Rebalancing uses one length per pair; the total balances better than the prompt length.
        length_column_name="total" if strategy == "batch_rebalance" else "length",
        **_sizes(len(pairs), micro_batch) | QUIET | changes,
    )
    _use_one_device(settings)
    model, restore = _copy(student)
    trainer = Seq2SeqTrainer(
        model,
        settings,
        DataCollatorForSeq2Seq(student.tokenizer, model),
        _dataset(student, pairs),
        processing_class=student.tokenizer,
    )
    # transformers sums the losses of T5's micro-batches without dividing by their number.
    parts = trainer.args.gradient_accumulation_steps
    return _trained(trainer, restore, student.tokenizer.pad_token_id, parts)


def _trained(trainer: Trainer, restore: Callable[[], None], pad: int, parts: int = 1) -> Side:
    def step() -> float:
        restore()
        return float(trainer.train().training_loss) / parts

    side = Side(step, trainer=trainer)
    trainer.remove_callback(PrinterCallback)
    trainer.data_collator = PaddingCounter(trainer.data_collator, side, pad)
    return side


def _copy(student: Student) -> tuple[Any, Callable[[], None]]:
    """A copy of the model, and a function that restores its initial weights."""
    model = copy.deepcopy(student.model)
    return model, lambda: model.load_state_dict(student.model.state_dict()) and None


def _use_one_device(settings: TrainingArguments) -> None:
    """Prevent transformers from splitting each micro-batch over all visible GPUs."""
    settings._n_gpu = min(1, settings.n_gpu)


def _sizes(pairs: int, micro_batch: int) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": -(-pairs // micro_batch),
    }


def _dataset(student: Student, pairs: np.ndarray) -> datasets.Dataset:
    """The tokenised pairs in the format of the peers' trainers."""
    rows: dict[str, list[Any]] = {"input_ids": [], "labels": [], "length": [], "total": []}
    for pair in pairs.tolist():
        prompt, response = (part.tolist() for part in _parts(student, pair))
        if student.causal:
            rows["input_ids"].append(prompt + response)
            rows["labels"].append([IGNORED] * len(prompt) + response)
        else:
            rows["input_ids"].append(prompt)
            rows["labels"].append(response)
        rows["length"].append(len(rows["input_ids"][-1]))
        rows["total"].append(len(prompt) + len(response))
    return datasets.Dataset.from_dict(rows)


def _parts(student: Student, pair: int) -> tuple[np.ndarray, np.ndarray]:
    return student.cache.prompt(pair), student.cache.response(pair)


@contextlib.contextmanager
def _deterministic() -> Any:
    """Deterministic kernels, as in our training; the peers do not use them."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
