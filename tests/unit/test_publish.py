"""Publishing: files sent to a hub; nothing is sent without confirmation or damaged."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import dataset_manifest
from hub import TOKEN, Hub
from score_cases import result

from lamini.dataset.export import export_dataset
from lamini.exports.results import ExportCheck
from lamini.files import sha256_file, write_folder_manifest

ROOT = Path(__file__).parents[2]
HERD = ("--configfile", str(ROOT / "config/examples/herd.yaml"))
DATASET = ("dataset", "--repo", "my-lab/cooking", *HERD)
MODELS = ("models", "--namespace", "my-lab", "--models", "herd-llama", *HERD)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as served:
        yield served


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The results of a run that publishing reads."""
    folder = tmp_path / "results"
    _dataset(folder)
    final = folder / "checkpoints/herd-llama/final"
    final.mkdir(parents=True)
    (final / "README.md").write_text("---\nlicense: other\n---\n\n# Its name then\n")
    (final / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (final / "config.json").write_text("{}")
    write_folder_manifest(final, {"steps": 3})
    for model, score, precision in (("herd-llama", 41.25, "bf16"), ("my-llama", 30.0, "fp32")):
        fields = {"metric": "acc_norm", "protocol": "modern", "precision": precision}
        measured = {"score": score, "interval": [score - 2, score + 2], "examples": 2376}
        path = folder / f"evals/{model}/arc_easy.json"
        result(model, "arc_easy", **fields, **measured).write(path)
    return folder


def _dataset(folder: Path) -> None:
    dataset = folder / "dataset/herd.parquet"
    dataset.parent.mkdir(parents=True)
    pq.write_table(pa.table({"instruction": ["a", "b"], "response": ["c", "d"]}), dataset)
    sources = {"a": {"models": {"m@01": 1}}, "b": {"models": {"m@01": 1, "n": 1000}}}
    manifest = dataset_manifest(sources, mixture="herd", sha256=sha256_file(dataset), rows=2)
    manifest.write(dataset.with_name("herd.manifest.json"))
    dataset.with_name("herd.card.md").write_text("# herd\n")
    export_dataset(
        manifest=dataset.with_name("herd.manifest.json"),
        dataset=dataset,
        card=dataset.with_name("herd.card.md"),
        readme=folder / "export/herd/README.md",
        parquet=folder / "export/herd/herd.parquet",
        jsonl=folder / "export/herd.jsonl",
    )
    table = folder / "analysis/herd/contamination.csv"
    table.parent.mkdir(parents=True)
    table.write_text(
        "task,instruction_source,pairs,examples,comparable_examples,pairs_8,pairs_13,"
        "examples_8,examples_13\n"
        "arc_easy,cooking,1,2376,2000,9,9,9,9\n"
        "arc_easy,herd,2,2376,2000,4,1,3,1\n"
        "all_tasks,herd,2,2376,2000,4,1,3,1\n"
    )


def _publish(
    results: Path, hub: Hub, *arguments: str, token: str | None = TOKEN
) -> subprocess.CompletedProcess[str]:
    """The command as `make` runs it. HTTP, because the stand-in has no Xet storage."""
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(results.parent / "hf"),
    }
    if token is not None:
        environment["HF_TOKEN"] = token
    return subprocess.run(
        [sys.executable, "-m", "lamini.publish", *arguments, "--results", str(results)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dry_run_shows_everything_and_sends_nothing(results: Path, hub: Hub) -> None:
    done = _publish(results, hub, *DATASET, token=None)
    assert done.returncode == 0, done.stderr
    assert "dataset my-lab/cooking (private)" in done.stdout
    size = (results / "export/herd/herd.parquet").stat().st_size
    assert f"{size:,}  herd.parquet" in done.stdout
    done = _publish(results, hub, *MODELS, token=None)
    assert done.returncode == 0, done.stderr
    assert "model my-lab/herd-llama (private)" in done.stdout
    assert "10,240  model.safetensors" in done.stdout
    assert "the card lacks scores on TriviaQA" in done.stdout
    assert hub.requests == []


def test_an_upload_arrives_byte_by_byte_with_its_card(results: Path, hub: Hub) -> None:
    done = _publish(results, hub, *DATASET, "--upload", "--public")
    assert done.returncode == 0, done.stderr
    sent = hub.repositories["datasets/my-lab/cooking"]
    assert sent["herd.parquet"] == (results / "export/herd/herd.parquet").read_bytes()
    assert json.loads(sent["manifest.json"])["rows"] == 2
    assert not hub.private["datasets/my-lab/cooking"]
    card = sent["README.md"].decode()
    assert card.startswith("# herd\n")
    assert "| arc easy | 2,376 | 3 | 4 | 1 | 1 |" in card

    for _ in range(2):  # again: the repository is there, which is no error
        done = _publish(results, hub, *MODELS, "--upload")
        assert done.returncode == 0, done.stderr
    sent = hub.repositories["my-lab/herd-llama"]
    assert hub.private["my-lab/herd-llama"]
    assert set(sent) == {"README.md", "config.json", "manifest.json", "model.safetensors"}
    assert sent["model.safetensors"] == bytes(range(256)) * 40
    card = sent["README.md"].decode()
    assert card.startswith("---\nlicense: other\n---\n\n# Herd-Llama\n"), "the name of today"
    assert "| task | metric | examples | this model | My-Llama |" in card
    assert "| ARC-Easy | acc_norm | 2,376 | 41.2 (39.2 to 43.2) | 30.0 (≠ precision" in card
    assert "## Contamination" in card
    assert "Number of responses by each model: m@01 (2), n (1,000)." in card


def test_exported_files_are_taken_along_with_their_check(results: Path, hub: Hub) -> None:
    folder = results / "exports/herd-llama"
    folder.mkdir(parents=True)
    gguf = folder / "herd-llama.q8_0.gguf"
    gguf.write_bytes(b"GGUF" * 500_000)
    ExportCheck(
        model="herd-llama",
        type="q8_0",
        program="llama.cpp (xllamacpp 1)",
        file=gguf.name,
        sha256=sha256_file(gguf),
        bytes=gguf.stat().st_size,
        instructions=114,
        tokens=8_000,
        equal_tokens=7_950,
        equal_answers=90,
        equal_prompts=114,
        task="arc_easy",
        metric="acc_norm",
        examples=2_376,
        score=40.95,
        checkpoint_score=41.25,
        checkpoint_precision="bf16",
        equal_examples=2_300,
        shortened=0,
    ).write(folder / "q8_0.json")
    done = _publish(results, hub, *MODELS, "--upload")
    assert done.returncode == 0, done.stderr
    sent = hub.repositories["my-lab/herd-llama"]
    assert sent["herd-llama.q8_0.gguf"] == gguf.read_bytes()
    card = sent["README.md"].decode()
    assert "Score: acc_norm on ARC-Easy" in card
    assert "| herd-llama.q8_0.gguf | 2.0 | 99.38 | 90 of 114 | 41.0 | -0.3 |" in card
    gguf.write_bytes(b"cut")
    done = _publish(results, hub, *MODELS, "--upload")
    assert done.returncode == 1
    assert "herd-llama.q8_0.gguf: is not the file that" in done.stderr


def test_errors_are_reported_before_anything_is_sent(results: Path, hub: Hub) -> None:
    done = _publish(results, hub, *MODELS, "--upload", token=None)
    assert done.returncode == 1
    assert "HF_TOKEN holds no token" in done.stderr
    (results / "checkpoints/herd-llama/final/model.safetensors").write_bytes(b"cut")
    done = _publish(results, hub, *MODELS, "--upload")
    assert done.returncode == 1
    assert "model.safetensors: is not the file that" in done.stderr
    (results / "export/herd/herd.parquet").unlink()
    done = _publish(results, hub, *DATASET, "--upload")
    assert "run `snakemake results/export/herd/README.md`" in done.stderr
    done = _publish(results, hub, "models", "--namespace", "my-lab", "--models", "nobody", *HERD)
    assert "nobody: not among `students`" in done.stderr
    assert hub.requests == []


def test_a_refusal_is_passed_on_without_the_token(results: Path, hub: Hub) -> None:
    done = _publish(results, hub, *DATASET, "--upload", token="hf_of_nobody")
    assert done.returncode == 1
    assert "my-lab/cooking: the hub refuses the upload" in done.stderr
    assert "hf_of_nobody" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert hub.repositories == {}
