"""Toy trainings by the command line, which the tests of whole runs share."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from training_cases import CONFIGS, architecture, recipe, write_dataset

from lamini.settings.students import BuiltModel, TrainedTokenizer
from lamini.students.pretrained import build_model
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import train_tokenizer


class Bench:
    """A dataset, tokenizers and initial models, and runs of the command over them."""

    def __init__(
        self, folder: Path, names: tuple[str, ...] = ("t5-v1.1", "gpt2"), longest: int = 1000
    ) -> None:
        self.folder = folder
        dataset = write_dataset(folder / "data.parquet", longest=longest)
        for name in names:
            causal = name == "gpt2"
            place = {"path": str(folder / "tokenizers" / name), "revision": None}
            kind = TrainedTokenizer(kind="gpt2" if causal else "t5", vocabulary=340)
            train_tokenizer(dataset, kind, place["path"])
            wrapper, pad = ("alpaca", "[PAD]") if causal else ("bare", None)
            tokenize_pairs(dataset, place, wrapper, pad, folder / "tokenized" / name)
            config = {**CONFIGS[name], **({"n_positions": 256} if causal else {})}
            build = BuiltModel(kind="random", config=config)
            build_model(build, architecture(name), place, 1, folder / "models" / name)

    def settings(self, name: str, **changes: Any) -> dict[str, Any]:
        causal = name == "gpt2"
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
        command += ["--settings", json.dumps(self.settings(name, **changes))]
        command += ["--tokenized", str(self.folder / "tokenized" / name)]
        command += ["--output", str(output), "--log", str(output / "log")]
        command += ["--processes", str(processes)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        if file_size is not None:
            command = ["prlimit", f"--fsize={file_size}", *command]
        return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)

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
