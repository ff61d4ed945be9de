"""Toy trainings by the command line, which the tests of whole runs share."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from training_cases import CONFIGS, architecture, recipe, write_dataset

from lamini.settings.students import BuiltModel, TrainedTokenizer
from lamini.students.pretrained import build_model
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import train_tokenizer
from lamini.training.__main__ import main


class Bench:
    """A dataset, tokenizers and initial models, and runs of the command over them."""

    def __init__(
        self, folder: Path, names: tuple[str, ...] = ("t5-v1.1", "gpt2"), longest: int = 1000
    ) -> None:
        self.folder = folder
        dataset = write_dataset(folder / "data.parquet", longest=longest)
        for name in names:
            causal = architecture(name) == "decoder-only"
            place = {"path": str(folder / "tokenizers" / name), "revision": None}
            kind = TrainedTokenizer(kind="gpt2" if causal else "t5", vocabulary=340)
            train_tokenizer(dataset, kind, place["path"])
            wrapper, pad = ("alpaca", "[PAD]") if causal else ("bare", None)
            tokenize_pairs(dataset, place, wrapper, pad, folder / "tokenized" / name)
            config = {**CONFIGS[name], **({"n_positions": 256} if name == "gpt2" else {})}
            build = BuiltModel(kind="random", config=config)
            build_model(build, architecture(name), place, 1, folder / "models" / name)

    def settings(self, name: str, **changes: Any) -> dict[str, Any]:
        causal = architecture(name) == "decoder-only"
        lengths = {"max_prompt_tokens": 200, "max_response_tokens": 100}
        defaults = {"held_out_pairs": 8, "batch_pairs": 16, **lengths, "epochs": 3}
        return {
            "model": f"lamini-{name}",
            "name": f"LaMini-{name}",
            "architecture": architecture(name),
            "family": name,
            "initialization": {"path": str(self.folder / "models" / name), "revision": None},
            "tokenizer": {"path": str(self.folder / "tokenizers" / name), "revision": None},
            "prompt_format": "alpaca" if causal else "bare",
            "pad_token": "[PAD]" if causal else None,
            "recipe": recipe(**{**defaults, **changes}).as_params(),
        }

    def start(
        self,
        name: str,
        output: Path,
        processes: int = 1,
        gpus: int = 0,
        file_size: int | None = None,
        **changes: Any,
    ) -> subprocess.Popen[str]:
        """Start a run; `file_size` is the most bytes that a file of it can get, as if disks end."""
        command = [sys.executable, "-m", "lamini.training", "--gpus", str(gpus)]
        command += ["--processes", str(processes), *self._arguments(name, output, changes)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        if file_size is not None:
            command = ["prlimit", f"--fsize={file_size}", *command]
        return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)

    def _arguments(self, name: str, output: Path, changes: dict[str, Any]) -> list[str]:
        settings = json.dumps(self.settings(name, **changes))
        tokenized = str(self.folder / "tokenized" / name)
        places = ["--tokenized", tokenized, "--output", str(output), "--log", str(output / "log")]
        return ["--settings", settings, *places]

    def run_here(self, name: str, output: Path, **changes: Any) -> str:
        """A run by the command's own entry, without the seconds that a new process takes."""
        logger, hook = logging.getLogger("lamini"), sys.excepthook
        try:
            code = main(["--gpus", "0", *self._arguments(name, output, changes)])
        finally:
            torch.use_deterministic_algorithms(False)
            sys.excepthook, logger.propagate = hook, True
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()
        log = (output / "log").read_text()
        assert code == 0, log
        return log

    def run(self, name: str, output: Path, processes: int = 1, **changes: Any) -> str:
        process = self.start(name, output, processes, **changes)
        _, log = process.communicate(timeout=300)
        assert process.returncode == 0, log
        return log


def wait_for_checkpoint(process: subprocess.Popen[str], output: Path, least: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.name >= f"step-{least:07}" for path in (output / "work").glob("step-*")):
            return
        time.sleep(0.002)
    raise AssertionError(f"no checkpoint: {process.communicate()}")


def same_model(one: Path, other: Path) -> bool:
    files = ("final/model.safetensors", "final/metrics.jsonl")
    return all((one / file).read_bytes() == (other / file).read_bytes() for file in files)
