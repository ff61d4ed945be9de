"""Small training runs from the command line, for the tests of whole runs."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from training_cases import CONFIGS, architecture, make_tokenizer, recipe, write_dataset

from lamini.settings.params.common import Location
from lamini.settings.params.students import BuildModel, TokenizePairs
from lamini.settings.students import BuiltModel
from lamini.students.pretrained import build_model
from lamini.students.tokenization import tokenize_pairs
from lamini.training.__main__ import main

LOG = Path("results/logs/train_model/small.log")
OUTPUTS = ("final/manifest.json", "final/metrics.jsonl")


class Bench:
    """A dataset, tokenizers and initial models, and runs of the command over them."""

    def __init__(
        self, folder: Path, names: tuple[str, ...] = ("t5-v1.1", "gpt2"), longest: int = 1000
    ) -> None:
        self.folder = folder
        dataset = write_dataset(folder / "data.parquet", longest=longest)
        for name in names:
            causal = architecture(name) == "decoder-only"
            place = Location(path=str(folder / "tokenizers" / name))
            make_tokenizer(dataset, "gpt2" if causal else "t5", Path(place.path))
            wrapper, pad = ("alpaca", "[PAD]") if causal else ("bare", None)
            tokenize_pairs(
                dataset=dataset,
                manifest=folder / "tokenized" / name / "manifest.json",
                settings=TokenizePairs(tokenizer=place, prompt_format=wrapper, pad_token=pad),
            )
            config = {**CONFIGS[name], **({"n_positions": 256} if name == "gpt2" else {})}
            build_model(
                manifest=folder / "models" / name / "manifest.json",
                settings=BuildModel(
                    architecture=architecture(name),
                    build=BuiltModel(kind="random", config=config),
                    tokenizer=place,
                    seed=1,
                ),
            )

    def settings(self, name: str, **changes: Any) -> dict[str, Any]:
        causal = architecture(name) == "decoder-only"
        lengths = {"max_prompt_tokens": 200, "max_response_tokens": 100}
        defaults = {"held_out_pairs": 8, "batch_pairs": 16, **lengths, "epochs": 3}
        return {
            "model": f"lamini-{name}",
            "name": f"LaMini-{name}",
            "architecture": architecture(name),
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
        output.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            command, cwd=output, env=environment, text=True, stderr=subprocess.PIPE
        )

    def _arguments(self, name: str, output: Path, changes: dict[str, Any]) -> list[str]:
        """The rule's command line; log and records are written to the run's output folder."""
        settings = json.dumps(self.settings(name, **changes))
        tokenized = self.folder / "tokenized" / name
        sampled = [str(self.folder / "data.parquet")] if changes.get("samples") else []
        places = ["--tokenized", str(tokenized), "--dataset", *sampled]
        places += ["--output", str(output), "--log", str(LOG)]
        inputs = [tokenized / "manifest.json", self.folder / "models" / name / "manifest.json"]
        files = ["--read", *map(str, inputs), "--written", *OUTPUTS]
        return ["--settings", settings, *places, *files]

    def run_here(self, name: str, output: Path, **changes: Any) -> str:
        """Run the command's `main` in this process, which saves the start of a new one."""
        logger, hook = logging.getLogger("lamini"), sys.excepthook
        try:
            output.mkdir(parents=True, exist_ok=True)
            with contextlib.chdir(output):
                code = main(["--gpus", "0", *self._arguments(name, output, changes)])
        finally:
            torch.use_deterministic_algorithms(False)
            sys.excepthook, logger.propagate = hook, True
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()
        log = (output / LOG).read_text()
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
