"""Whole runs from the command line: killed, stopped, resumed, in several processes, exported."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from training_bench import OUTPUTS, Bench, same_model, wait_for_checkpoint

from lamini.files import read_json, read_jsonl, sha256_file, write_json
from lamini.students.token_cache import TokenCache
from lamini.training.export import take_finished
from lamini.training.interrupts import EXIT_STOPPED
from lamini.training.job import TrainingJob


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


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5-v1.1", "gpt2"])
def test_loss_falls_and_the_folder_is_complete(finished: dict[str, Path], name: str) -> None:
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
def test_a_share_of_the_pairs_is_trained_on_and_told(
    bench: Bench, finished: dict[str, Path], tmp_path: Path
) -> None:
    log = bench.run("gpt2", tmp_path, samples=0.5, seed=3, held_out_seed=42, epochs=1)
    facts, whole = (read_json(run / "final/manifest.json") for run in (tmp_path, finished["gpt2"]))
    used = whole["pairs_used"] // 2 + whole["pairs_used"] % 2
    assert facts["pairs_used"] == used
    assert facts["sample"] == {
        "share": 0.5,
        "seed": 3,
        "pairs_not_sampled": whole["pairs_used"] - used,
        "pairs_by_source": {"alpaca": used},
    }
    assert "sample" not in whole
    # The same held-out pairs and initial weights, so the same loss before training.
    assert facts["held_out_before"] == whole["held_out_before"]
    assert f"{used} of {whole['pairs_used']} training pairs sampled" in log
    card = (tmp_path / "final/README.md").read_text()
    assert (
        f"| pairs trained on | {used}, a share of 0.5 drawn with seed 3 (alpaca {used}) |" in card
    )


@pytest.mark.slow
def test_a_run_is_recorded_with_its_inputs_and_outputs(
    bench: Bench, finished: dict[str, Path]
) -> None:
    run = finished["gpt2"]
    for name in OUTPUTS:
        record = read_json(run / f"results/provenance/{name}.json")
        assert (record["artifact"], record["sha256"]) == (name, sha256_file(run / name))
        job = read_json(run / record["job"])
        read = [bench.folder / f"{kind}/gpt2/manifest.json" for kind in ("tokenized", "models")]
        assert job["inputs"] == {str(path): sha256_file(path) for path in read}
        assert job["settings"] == TrainingJob(**bench.settings("gpt2")).as_params()
        assert (job["rule"], job["outputs"]) == ("train_model", list(OUTPUTS))
        assert job["seed"] == job["settings"]["recipe"]["seed"] == 42


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_weights(
    bench: Bench, finished: dict[str, Path], tmp_path: Path
) -> None:
    for least in (2, 7):
        process = bench.start("gpt2", tmp_path)
        wait_for_checkpoint(process, tmp_path, least)
        process.kill()
        process.wait()
        assert not (tmp_path / "final").exists()
    assert "resuming from" in bench.run("gpt2", tmp_path)
    assert same_model(tmp_path, finished["gpt2"])


@pytest.mark.slow
def test_a_finished_one_is_not_trained_again(bench: Bench, tmp_path: Path) -> None:
    """If interrupted in the last moment, Snakemake removes the two declared files."""
    bench.run("gpt2", tmp_path, epochs=1)
    final, kept = tmp_path / "final", tmp_path / "work/final"
    before = {path.name: path.read_bytes() for path in final.iterdir()}
    records = _contents(tmp_path / "results/provenance")
    for name in ("manifest.json", "metrics.jsonl"):
        (final / name).unlink()
    log = bench.run("gpt2", tmp_path, epochs=1)
    assert "finished by an earlier run" in log
    assert "parameters," not in log, "it loaded the model"
    assert {path.name: path.read_bytes() for path in final.iterdir()} == before
    assert _contents(tmp_path / "results/provenance") == records
    shutil.rmtree(tmp_path / "results/provenance")  # it was killed before it recorded them
    bench.run_here("gpt2", tmp_path, epochs=1)
    assert _contents(tmp_path / "results/provenance") == records
    (job,) = (tmp_path / "results/provenance/jobs").iterdir()  # or its record is an older one's
    write_json(job, read_json(job) | {"settings": {}})
    bench.run_here("gpt2", tmp_path, epochs=1)
    assert _contents(tmp_path / "results/provenance") == records
    # Weights that are not the run's, or other settings, are no use.
    (final / "model.safetensors").write_bytes(b"torn")
    assert "parameters," in bench.run("gpt2", tmp_path, epochs=1)
    assert {path.name for path in kept.iterdir()} == {"manifest.json", "metrics.jsonl"}
    assert not take_finished(tmp_path, "other settings")
    assert not kept.exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["t5-v1.1", "gpt2"])
@pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ, reason="takes minutes; set LAMINI_SLOW_TESTS=1"
)
def test_a_run_killed_ten_times_has_the_same_weights(
    bench: Bench, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kills at random moments; every third time the newest checkpoint is damaged too."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    bench.run(name, whole, epochs=40)
    random = np.random.default_rng()
    table = ["| killed after | newest checkpoint | torn | went on from |", "|---|---|---|---|"]
    newest, torn = 0, False
    for number in range(10):
        process = bench.start(name, killed, epochs=40)
        wait_for_checkpoint(process, killed, newest + 1)
        delay = random.uniform(0, 0.6)
        time.sleep(delay)
        process.kill()
        _, log = process.communicate()
        came_from = re.findall(r"resuming from \S+/step-(\d+)", log)
        assert bool(came_from) == (number > 0), log
        if came_from:
            assert int(came_from[0]) == (newest - 1 if torn else newest)
            table[-1] += f" step {int(came_from[0])} |"
        assert not (killed / "final").exists()
        newest_path = max((killed / "work").glob("step-*"))
        newest, torn = int(newest_path.name[5:]), number % 3 == 2
        if torn:
            size = (newest_path / "model.safetensors").stat().st_size
            os.truncate(newest_path / "model.safetensors", random.integers(size))
        table.append(f"| {delay:.2f} s | step {newest} | {'yes' if torn else 'no'} |")
    log = bench.run(name, killed, epochs=40)
    came_from = re.findall(r"resuming from \S+/step-(\d+)", log)
    table[-1] += f" step {int(came_from[0])} |"
    assert same_model(killed, whole)
    with capsys.disabled():
        print(f"\n{name}: weights and metrics equal to an undisturbed run's\n", *table, sep="\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_stopped_it_saves_and_does_not_pass_for_done(
    bench: Bench, finished: dict[str, Path], tmp_path: Path, number: signal.Signals
) -> None:
    process = bench.start("t5-v1.1", tmp_path, processes=1)
    wait_for_checkpoint(process, tmp_path, 1)
    process.send_signal(number)
    _, log = process.communicate(timeout=120)
    assert process.returncode == EXIT_STOPPED, log
    assert not (tmp_path / "final").exists()
    newest = max((tmp_path / "work").glob("step-*"))
    # A torn newest checkpoint costs the steps since the one before, and nothing else.
    (newest / "model.safetensors").write_bytes(b"torn")
    log = bench.run("t5-v1.1", tmp_path)
    assert f"{newest} is damaged (model.safetensors has another size)" in log
    assert "resuming from" in log
    assert same_model(tmp_path, finished["t5-v1.1"])


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_compute_the_same_steps(
    bench: Bench, finished: dict[str, Path], tmp_path: Path, sharded: bool
) -> None:
    settings = {"epochs": 1, "shard_optimizer": sharded}
    bench.run("t5-v1.1", tmp_path / "one", epochs=1)
    bench.run("t5-v1.1", tmp_path / "two", processes=2, **settings)
    one, two = (list(read_jsonl(tmp_path / n / "final/metrics.jsonl")) for n in ("one", "two"))
    # Dropout differs between ranks, so only values without dropout are compared exactly.
    assert [row["supervised_tokens"] for row in one[1:]] == [
        row["supervised_tokens"] for row in two[1:]
    ]
    assert one[0]["held_out_loss"] == pytest.approx(two[0]["held_out_loss"], rel=1e-6)
    assert one[-1]["held_out_loss"] == pytest.approx(two[-1]["held_out_loss"], rel=0.02)


@pytest.mark.slow
def test_a_stop_reaches_all_processes_and_one_can_go_on_alone(bench: Bench, tmp_path: Path) -> None:
    process = bench.start("gpt2", tmp_path, processes=2, shard_optimizer=True)
    wait_for_checkpoint(process, tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=120)
    assert process.returncode == EXIT_STOPPED, log
    log = bench.run("gpt2", tmp_path, processes=1, shard_optimizer=False)
    assert "resuming from" in log
    facts = read_json(tmp_path / "final/manifest.json")
    assert facts["loss_last"] < facts["loss_first"] - 0.5


@pytest.mark.slow
def test_other_settings_do_not_go_on_from_old_checkpoints(bench: Bench, tmp_path: Path) -> None:
    process = bench.start("gpt2", tmp_path)
    wait_for_checkpoint(process, tmp_path, 1)
    process.kill()
    process.wait()
    log = bench.run("gpt2", tmp_path, epochs=1, learning_rate=0.02)
    assert "belongs to other settings" in log
    assert "resuming from" not in log


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
    else:
        # transformers 4 would tie, and so lose, the head if the configuration said "true".
        assert config["tie_word_embeddings"] is False
        assert "lm_head.weight" in weights
        assert not torch.equal(model.lm_head.weight, model.shared.weight)
    cache = TokenCache(bench.folder / "tokenized" / name)
    instructions = pl.read_parquet(bench.folder / "data.parquet")["instruction"]
    for pair, text in enumerate(instructions):
        messages = [{"role": "user", "content": text}]
        asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert asked == cache.prompt(pair).tolist()
    assert "`tokenizer.apply_chat_template(messages" in (final / "README.md").read_text()
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
