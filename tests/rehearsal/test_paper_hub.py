"""All that the paper's configuration names on the hub loads with the pipeline's own code.

The hub is a stand-in with the layout of the real repositories, which refuses and names everything
that it does not have. Nothing of the configuration is replaced.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import Hub
from hub_data import MIRROR, ROOT, alpaca_rows, flan_tasks, p3_subsets
from paper_hub import commit_of, paper_hub
from read_hub import KINDS, digest
from safetensors.torch import load

from lamini.command import read_config
from lamini.evaluation.data import load_examples
from lamini.pins import Reading, readings_of
from lamini.settings.root import Config
from lamini.workflow import Workflow

pytestmark = pytest.mark.slow
RELEASED = "config/overlays/released.yaml"


@cache
def configuration(*overlays: str) -> Config:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Workflow(read_config([Path(file) for file in overlays], [])).config


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with paper_hub(configuration()) as served:
        yield served


def _read(hub: Hub, home: Path, *arguments: str) -> dict[str, Any]:
    """What a process reads from the hub, whose cache is empty."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(home)}
    environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
    done = subprocess.run(
        [sys.executable, "tests/rehearsal/read_hub.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def read(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the code reads, by kind."""
    return _read(hub, tmp_path_factory.mktemp("home"), *KINDS)


@pytest.fixture(scope="module")
def released(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Models of the overlay of released checkpoints."""
    home = tmp_path_factory.mktemp("home")
    return _read(hub, home, "models", "--configfile", RELEASED)


def test_nothing_was_asked_that_the_hub_does_not_have(
    hub: Hub, read: dict[str, Any], released: dict[str, Any]
) -> None:
    assert hub.public.refused == []


def test_the_recorded_commits_are_the_pinned_ones(
    read: dict[str, Any], released: dict[str, Any]
) -> None:
    config = configuration()
    expected = {_name(each): commit_of(each) for each in readings_of(config)}
    teacher = config.teacher.server
    assert teacher is not None
    del expected[f"{teacher.model_path}@{teacher.revision}"]  # its server reads it, not a job
    assert read["commits"] | released["commits"] == expected


def _name(reading: Reading) -> str:
    kind = "datasets/" if reading.kind == "dataset" else ""
    return f"{kind}{reading.repo}@{reading.revision}"


def test_models_have_the_weights_that_were_served(
    hub: Hub, read: dict[str, Any], released: dict[str, Any]
) -> None:
    config = configuration()
    assert set(read["models"]) == set(config.references)
    assert set(released["models"]) == {*config.references, *config.students}
    for model, (_, _, weights) in (released["models"] | read["models"]).items():
        definition = config.models[model]
        if definition.weights and definition.weights.hub:
            place, commit = definition.weights.hub.repo, definition.weights.hub.revision
        else:
            place, commit = str(definition.published_as), definition.published_revision or "main"
        found = hub.public.commits[place][commit]
        served = _served_weights(hub.public.files[f"{place}@{found}"])
        assert set(weights) <= served, model
        assert len(weights) > 20


def _served_weights(files: dict[str, bytes]) -> set[str]:
    """Digests of all tensors in a repository's files."""
    found = set()
    for name, content in files.items():
        if name.endswith(".safetensors"):
            found |= {digest(value) for value in load(content).values()}
        elif name.startswith("pytorch_model") and name.endswith(".bin"):
            found |= {digest(value) for value in torch.load(io.BytesIO(content)).values()}
    return found


def test_each_architecture_is_the_original_one(read: dict[str, Any]) -> None:
    classes = {model: found[0] for model, found in read["models"].items()}
    starts = {
        "t5": "T5ForConditionalGeneration",
        "flan-t5": "T5ForConditionalGeneration",
        "gpt-neo": "GPTNeoForCausalLM",
        "cerebras": "GPT2LMHeadModel",
        "gpt2": "GPT2LMHeadModel",
        "llama": "LlamaForCausalLM",
        "alpaca": "LlamaForCausalLM",
    }
    for model, name in classes.items():
        assert name == next(kind for start, kind in starts.items() if model.startswith(start))


def test_students_start_with_a_row_for_the_padding_token(read: dict[str, Any]) -> None:
    for student, (_, rows, tokens, padding) in read["initializations"].items():
        if "t5" in student:
            assert (rows, tokens, padding) == (828, 800, 0)
        else:
            assert (rows, tokens, padding) == (602, 602, 601)
    assert set(read["initializations"]) == set(configuration().students)


def test_tasks_have_the_examples_of_the_mirror(read: dict[str, Any]) -> None:
    config = configuration()
    for name in config.evaluated_tasks:
        _, facts = load_examples(config.tasks[name].data, str(MIRROR))
        assert read["tasks"][f"{name} paper"][0] == facts.sha256
        assert read["tasks"][f"{name} modern"][0] == facts.sha256


def test_every_subset_of_the_seeds_is_read_and_no_other(read: dict[str, Any]) -> None:
    p3 = {n: len(rows) for n, rows in p3_subsets().items() if not n.endswith("_score_eval")}
    flan = {name: len(rows) for name, rows in flan_tasks().items()}
    expected = {
        "generated_p3": p3,
        "generated_flan": flan,
        "alpaca": {"alpaca": len(alpaca_rows())},
        "original_p3": p3,
        "original_flan": flan,
    }
    assert read["seeds"] == expected


def test_tokenizers_cut_numbers_as_the_originals_do(read: dict[str, Any]) -> None:
    """cl100k's class is GPT-2's, but its rule for words is another: no space before digits."""
    found = read["tokenizers"]
    assert "Ġ1" in found["gpt2"][3]
    assert found["cl100k"][3][3:5] == ["Ġ", "1"]
    assert found["gpt2"][:3] == [602, 601, "<|endoftext|>"]
    assert found["t5"][:3] == [800, 0, "</s>"]


def test_the_embedding_model_and_the_released_dataset_are_read(read: dict[str, Any]) -> None:
    config = configuration()
    assert read["embeddings"] == {config.analysis.embeddings.model: [32, 384, 1.0]}
    assert read["published"] == dict.fromkeys(config.sources, len(alpaca_rows()))
