"""Whole runs by the command line: killed, stopped, in several processes, gone on with, exported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_cases import CONFIGS, architecture, recipe, write_dataset

from lamini.files import read_json, read_jsonl
from lamini.prompt_formats import render_prompt
from lamini.settings.students import BuiltModel, TrainedTokenizer
from lamini.students.pretrained import build_model
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import train_tokenizer
from lamini.training.interrupts import EXIT_STOPPED


class Bench:
    """A dataset, tokenizers and initial models, and runs of the command over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        dataset = write_dataset(folder / "data.parquet")
        for name in ("t5-v1.1", "gpt2"):
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
        self, name: str, output: Path, processes: int = 1, **changes: Any
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lamini.training", "--gpus", "0"]
        command += ["--settings", json.dumps(self.settings(name, **changes))]
        command += ["--tokenized", str(self.folder / "tokenized" / name)]
        command += ["--output", str(output), "--log", str(output / "log")]
        command += ["--processes", str(processes)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)

    def run(self, name: str, output: Path, processes: int = 1, **changes: Any) -> str:
        process = self.start(name, output, processes, **changes)
        _, log = process.communicate(timeout=300)
        assert process.returncode == 0, log
        return log


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def finished(bench: Bench) -> dict[str, Path]:
    """An uninterrupted run of each architecture."""
    outputs = {name: bench.folder / "finished" / name for name in ("t5-v1.1", "gpt2")}
    for name, output in outputs.items():
        bench.run(name, output)
    return outputs


def _wait_for_checkpoint(process: subprocess.Popen[str], output: Path, least: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.name >= f"step-{least:07}" for path in (output / "work").glob("step-*")):
            return
        time.sleep(0.002)
    raise AssertionError(f"no checkpoint: {process.communicate()}")


def _same(one: Path, other: Path) -> bool:
    files = ("final/model.safetensors", "final/metrics.jsonl")
    return all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5-v1.1", "gpt2"])
def test_loss_falls_and_the_folder_is_whole(finished: dict[str, Path], name: str) -> None:
    final = finished[name] / "final"
    facts = read_json(final / "manifest.json")
    assert facts["loss_last"] < facts["loss_first"] - 0.5
    assert facts["held_out_after"] < facts["held_out_before"] - 0.5
    assert facts["pairs_left_out"] == {
        "empty_response": 1,
        "prompt_too_long": 1,
        "response_too_long": 1,
    }
    assert facts["pairs_used"] + facts["pairs_held_out"] + 3 == 120
    assert len(list(read_jsonl(final / "left_out.jsonl"))) == 3
    rows = list(read_jsonl(final / "metrics.jsonl"))
    assert [row["step"] for row in rows] == list(range(facts["steps"] + 1))
    assert sum(row["held_out_loss"] is not None for row in rows) == 4
    assert not list((finished[name] / "work").glob("step-*"))


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_weights(
    bench: Bench, finished: dict[str, Path], tmp_path: Path
) -> None:
    for least in (2, 7):
        process = bench.start("gpt2", tmp_path)
        _wait_for_checkpoint(process, tmp_path, least)
        process.kill()
        process.wait()
        assert not (tmp_path / "final").exists()
    assert "going on from" in bench.run("gpt2", tmp_path)
    assert _same(tmp_path, finished["gpt2"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_stopped_it_saves_and_does_not_pass_for_done(
    bench: Bench, finished: dict[str, Path], tmp_path: Path, number: signal.Signals
) -> None:
    process = bench.start("t5-v1.1", tmp_path, processes=1)
    _wait_for_checkpoint(process, tmp_path, 1)
    process.send_signal(number)
    _, log = process.communicate(timeout=120)
    assert process.returncode == EXIT_STOPPED, log
    assert not (tmp_path / "final").exists()
    newest = max((tmp_path / "work").glob("step-*"))
    # A torn newest checkpoint costs the steps since the one before, and nothing else.
    (newest / "model.safetensors").write_bytes(b"torn")
    log = bench.run("t5-v1.1", tmp_path)
    assert f"{newest} is damaged (model.safetensors has another size)" in log
    assert "going on from" in log
    assert _same(tmp_path, finished["t5-v1.1"])


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_compute_the_same_steps(
    bench: Bench, finished: dict[str, Path], tmp_path: Path, sharded: bool
) -> None:
    settings = {"epochs": 1, "shard_optimizer": sharded}
    bench.run("t5-v1.1", tmp_path / "one", epochs=1)
    bench.run("t5-v1.1", tmp_path / "two", processes=2, **settings)
    one, two = (list(read_jsonl(tmp_path / n / "final/metrics.jsonl")) for n in ("one", "two"))
    # Dropout differs between ranks, so what is compared exactly is what it does not touch.
    assert [row["supervised_tokens"] for row in one[1:]] == [
        row["supervised_tokens"] for row in two[1:]
    ]
    assert one[0]["held_out_loss"] == pytest.approx(two[0]["held_out_loss"], rel=1e-6)
    assert one[-1]["held_out_loss"] == pytest.approx(two[-1]["held_out_loss"], rel=0.02)


@pytest.mark.slow
def test_a_stop_reaches_all_processes_and_one_can_go_on_alone(bench: Bench, tmp_path: Path) -> None:
    process = bench.start("gpt2", tmp_path, processes=2, shard_optimizer=True)
    _wait_for_checkpoint(process, tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=120)
    assert process.returncode == EXIT_STOPPED, log
    log = bench.run("gpt2", tmp_path, processes=1, shard_optimizer=False)
    assert "going on from" in log
    facts = read_json(tmp_path / "final/manifest.json")
    assert facts["loss_last"] < facts["loss_first"] - 0.5


@pytest.mark.slow
def test_other_settings_do_not_go_on_from_old_checkpoints(bench: Bench, tmp_path: Path) -> None:
    process = bench.start("gpt2", tmp_path)
    _wait_for_checkpoint(process, tmp_path, 1)
    process.kill()
    process.wait()
    log = bench.run("gpt2", tmp_path, epochs=1, learning_rate=0.02)
    assert "belongs to other settings" in log
    assert "going on from" not in log


@pytest.mark.slow
def test_diverging_stops_with_what_to_change(bench: Bench, tmp_path: Path) -> None:
    changes = {"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup_ratio": 0.0}
    process = bench.start("gpt2", tmp_path, **changes)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "lower learning_rate" in log
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5-v1.1", "gpt2"])
def test_the_export_loads_as_it_was_trained(
    bench: Bench, finished: dict[str, Path], name: str
) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    final = finished[name] / "final"
    loader = AutoModelForCausalLM if name == "gpt2" else AutoModelForSeq2SeqLM
    model = loader.from_pretrained(final)
    tokenizer = AutoTokenizer.from_pretrained(final)
    weights = load_file(final / "model.safetensors")
    for key, value in weights.items():
        assert torch.equal(model.state_dict()[key], value), key
    config = read_json(final / "config.json")
    if name == "gpt2":
        assert tokenizer.pad_token == "[PAD]"
        assert model.config.vocab_size == len(tokenizer) == tokenizer.pad_token_id + 1
        assert config["tie_word_embeddings"] is True
        messages = [{"role": "user", "content": "Sing."}]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False)
        assert rendered == render_prompt("alpaca", "Sing.") + " "
    else:
        # transformers 4 would tie, and so lose, the head if the configuration said "true".
        assert config["tie_word_embeddings"] is False
        assert "lm_head.weight" in weights
        assert not torch.equal(model.lm_head.weight, model.shared.weight)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
