"""Device, small students of each family and result rows for the checks of `make gpu-check`.

The small students have the architectures of the paper's families. On a GPU their attention heads
have the real width, so that torch chooses the same attention kernels as for full-size models.
Without a GPU everything runs on the CPU.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from paper_students import CONFIGS
from training_inputs import VOCABULARY, Student, make_student, write_pairs

from lamini.settings.params.common import Location
from lamini.students.pretrained import save_model
from lamini.training.job import TrainingJob
from lamini.training.ranks import Ranks
from lamini.training.run import train_student

HEAD = 64 if torch.cuda.is_available() else 32
"""Width of an attention head: on a GPU as in the real models. Smaller on a CPU, because many CPUs
compute bf16 and fp16 ten times more slowly than fp32."""
_T5 = {
    "model_type": "t5",
    "d_model": 2 * HEAD,
    "d_kv": HEAD,
    "d_ff": 4 * HEAD,
    "num_layers": 2,
    "num_heads": 2,
}
_GPT2 = {"model_type": "gpt2", "n_embd": 2 * HEAD, "n_layer": 2, "n_head": 2, "n_positions": 1024}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
FAMILIES: dict[str, dict[str, Any]] = {
    "T5": _T5,
    "T5 v1.1": {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "GPT-2": _GPT2,
    "Cerebras-GPT": {**_GPT2, **NO_DROPOUT, "activation_function": "gelu", "n_inner": 6 * HEAD},
    "GPT-Neo": {
        "model_type": "gpt_neo",
        "hidden_size": 2 * HEAD,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 32,
        "max_position_embeddings": 1024,
    },
    "SmolLM2": {
        "model_type": "llama",
        "hidden_size": 3 * HEAD,
        "intermediate_size": 6 * HEAD,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
    },
}
"""Small configurations of the paper's families and the demo's, by name."""
REAL: dict[str, dict[str, Any]] = {
    "GPT-2-124M": CONFIGS["lamini-gpt-124m"],
    "T5-base": CONFIGS["lamini-t5-223m"],
    "SmolLM2-135M": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
}
"""Models of the speed checks at real size."""
_SMALL = {"small GPT-2": "GPT-2", "small T5": "T5", "small SmolLM2": "SmolLM2"}
"""Models of the speed checks at small size, from `FAMILIES`."""
PAIRS = 512
"""Pairs of the dataset, with the paper's lengths."""
_SMALL_VOCABULARY = 1024
"""Vocabulary if speed is not measured at the real models' sizes."""
_WEIGHT_NOISE = 0.02
"""Standard deviation of noise added to the initial weights, so that attention and positions affect
the loss."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    limit: str
    verdict: Literal["ok", "FAILED", "not here"]


def judged(what: str, measured: str, limit: str, ok: bool) -> Row:
    """Row of a measured check."""
    return Row(what, measured, limit, "ok" if ok else "FAILED")


def not_here(what: str, reason: str) -> Row:
    """Row of a check that this machine can't run."""
    return Row(what, reason, "–", "not here")


@dataclass(frozen=True)
class Machine:
    """Device, folder and dataset of the checks."""

    folder: Path
    dataset: Path
    ranks: Ranks
    """One process and its device: the first GPU, or the CPU."""
    real: bool
    """Whether speed is measured at the real models' sizes."""
    students: Mapping[str, dict[str, Any]]
    """Configurations of the models whose speed is measured, by name."""
    pairs: int
    """Pairs per step when speed is measured."""

    @property
    def gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.ranks.device.type == "cuda"

    @property
    def name(self) -> str:
        """Device name from the GPU's driver, or `CPU`."""
        return torch.cuda.get_device_name(self.ranks.device) if self.gpu else "CPU"

    @property
    def formats(self) -> tuple[str, ...]:
        """16-bit number formats of the device; the first is the one that `auto` chooses."""
        old = self.gpu and torch.cuda.get_device_capability(self.ranks.device) < (8, 0)
        return ("fp16",) if old else ("bf16", "fp16")

    def student(self, family: str, **changes: Any) -> Student:
        """A small student with random weights; `changes` are fields of its recipe."""
        kind = "t5" if family.startswith("T5") else "gpt2"
        settings = {"learning_rate": 1e-2, "epochs": 0.25, "save_minutes": 1e-6}
        if not self.gpu:
            settings |= {"max_prompt_tokens": 96, "max_response_tokens": 48}
        shape = FAMILIES[family]
        student = make_student(kind, self.dataset, 16, 4096, shape, **settings | changes)
        with torch.no_grad():
            for parameter in student.model.parameters():
                parameter.add_(torch.randn_like(parameter) * _WEIGHT_NOISE)
        return student

    def job(self, family: str, **changes: Any) -> tuple[TrainingJob, Path]:
        """Settings of a small student's training, and its token cache.

        The initial weights are saved in a folder.
        """
        student = self.student(family, **changes)
        folder = self.folder / "models" / family
        save_model(student.model, student.tokenizer, folder)
        location = Location(path=str(folder))
        return student.job.model_copy(update={"initialization": location}), student.tokenized


def start(
    folder: Path,
    real: bool | None = None,
    students: Sequence[str] = tuple(REAL),
    pairs: int | None = None,
) -> Machine:
    """Write the dataset and run a short training, which sets torch's global settings.

    Args:
        folder: folder for all files of the checks.
        real: whether to measure speed at the real models' sizes; None: only on a GPU.
        students: models whose speed is measured at real size, of `REAL` or `CONFIGS`.
        pairs: pairs per step when speed is measured; None: 256, or 16 of the small models.
    """
    ranks = Ranks(int(torch.cuda.is_available()))
    real = ranks.device.type == "cuda" if real is None else real
    pairs = pairs or (256 if real else 16)
    count = max(PAIRS, 2 * pairs)  # some are too long for training
    dataset = write_pairs(folder, count, VOCABULARY if real else _SMALL_VOCABULARY)
    shapes = (
        {name: (REAL | CONFIGS)[name] for name in students}
        if real
        else {name: FAMILIES[family] for name, family in _SMALL.items()}
    )
    machine = Machine(folder, dataset, ranks, real, shapes, pairs)
    train_student(*machine.job("Cerebras-GPT", epochs=0.01), folder / "first", int(machine.gpu))
    return machine


@contextmanager
def restored_torch() -> Iterator[None]:
    """Restore torch's global settings, which a training changes, at the end of the block."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=only_warns)
        torch.backends.cuda.enable_cudnn_sdp(cudnn)


def free() -> None:
    """Free unused memory, also in torch's CUDA cache."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
