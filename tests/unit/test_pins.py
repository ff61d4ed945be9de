"""Revisions on the hub: which are pinned, what moved, and which commits a job read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from evaluation_cases import gpt2_tokenizer, saved_model, small_model
from hub import Hub

from lamini import pins
from lamini.command import read_config
from lamini.evaluation.models import load_evaluated_model, model_identity
from lamini.files import write_json
from lamini.jobs import commits, run_job
from lamini.jobs.commits import commit_to_read, commits_read, forget_commits
from lamini.jobs.provenance import read_record
from lamini.settings.params.common import Location
from lamini.settings.root import Config
from lamini.settings.students import Recipe
from lamini.training.__main__ import _hub_commits
from lamini.training.initialization import load_initialization
from lamini.training.job import TrainingJob
from lamini.workflow import Workflow

ROOT = Path(__file__).parents[2]
OLD, NEW = "0" * 39 + "a", "5" * 40
MODEL, DATASET = "lab/model", "datasets/lab/data"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that this process asks, with a cache of its own."""
    from huggingface_hub import constants

    with Hub() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        forget_commits()
        yield served


@pytest.fixture(scope="module")
def paper() -> Config:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Workflow(read_config([], [])).config


def reading(name: str, revision: str) -> pins.Reading:
    kind = "dataset" if name.startswith("datasets/") else "model"
    return pins.Reading(kind, name.removeprefix("datasets/"), revision)


# --- The configuration ----------------------------------------------------------------------------


def test_every_repository_of_the_configuration_is_listed(paper: Config) -> None:
    text = "".join(
        (ROOT / f"config/{name}.yaml").read_text() for name in ("config", "sources", "models")
    )
    found = {(each.kind, each.repo) for each in pins.readings_of(paper)}
    listed = {repo for _, repo in found}
    for mark in ("repo: ", "published_as: ", "    model: sentence", "model_path: "):
        for after in text.split(mark)[1:]:
            repo = ("sentence" if "sentence" in mark else "") + after.split()[0].strip("{},")
            assert repo in listed
    assert {task.data.repo for task in paper.tasks.values()} <= listed
    assert len(found) == 50


def test_what_public_record_does_not_name_is_all_that_is_not_pinned(paper: Config) -> None:
    unpinned = {each.repo for each in pins.readings_of(paper) if not each.pinned}
    lamini = "Cerebras-111M Cerebras-256M Cerebras-590M Cerebras-1.3B Flan-T5-77M GPT-124M"
    lamini += " GPT-774M GPT-1.5B Neo-125M Neo-1.3B T5-61M T5-223M"
    assert unpinned == {
        "Xenova/gpt-4",
        "EleutherAI/race",
        "bigscience/P3",
        "lighteval/winograd_wsc",
        *(f"cerebras/Cerebras-GPT-{size}" for size in ("256M", "590M", "1.3B")),
        *(f"MBZUAI/LaMini-{name}" for name in lamini.split()),
    }


def test_a_repository_has_one_revision(paper: Config) -> None:
    """A tokenizer and the weights of one repository are of the same commit."""
    readings = set(pins.readings_of(paper))
    assert len(readings) == len({(each.kind, each.repo) for each in readings})


# --- The command ----------------------------------------------------------------------------------


def test_states_of_revisions_on_the_hub(hub: Hub) -> None:
    hub.public.commits = {
        MODEL: {"main": NEW, NEW: NEW, OLD: OLD},
        DATASET: {"main": NEW, "refs/convert/parquet": OLD},
    }
    hub.public.gated = {"lab/gated"}
    expected = {
        reading(MODEL, NEW): "current",
        reading(MODEL, OLD): f"moved: main is {NEW} of 2015-01-02, the pin is of 2010-01-02",
        reading(MODEL, "main"): f"now {NEW}",
        reading(DATASET, "refs/convert/parquet"): f"now {OLD}",
        reading(DATASET, OLD): "has no such revision",
        reading("lab/gated", NEW): "gated: accept its terms and set HF_TOKEN",
        reading("lab/lost", "main"): "not found; a private one needs HF_TOKEN",
    }
    assert pins.states_on_hub(list(expected)) == list(expected.values())


def _command(hub: Hub | None, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make pins` as a process, which reads HF_ENDPOINT."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment["HF_HOME"] = str(tmp_path)
    environment["HF_ENDPOINT"] = hub.address if hub else "http://127.0.0.1:9"
    return subprocess.run(
        [sys.executable, "-m", "lamini.pins", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_table_and_fails_for_no_repository(tmp_path: Path) -> None:
    gpt2 = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    with Hub() as hub:
        hub.public.commits["openai-community/gpt2"] = {"main": gpt2, gpt2: gpt2}
        hub.public.commits["datasets/EleutherAI/race"] = {"main": NEW}
        done = _command(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert ["model", "openai-community/gpt2", "yes", gpt2[:12], "current"] in lines
    assert ["dataset", "EleutherAI/race", "NO", "main", f"now {NEW}"] in lines
    assert done.stdout.endswith("31 revisions are pinned to a commit, 19 are not.\n")


def test_without_a_network_the_pins_are_still_listed(tmp_path: Path) -> None:
    done = _command(None, tmp_path)
    assert done.returncode == 0, done.stderr
    assert ["dataset", "EleutherAI/race", "NO", "main", "–"] in map(
        str.split, done.stdout.splitlines()
    )
    *_, pinned, note = done.stdout.splitlines()
    assert pinned == "31 revisions are pinned to a commit, 19 are not."
    assert note.startswith("The hub cannot be reached, so moved branches are not known (")
    assert "Traceback" not in done.stderr


# --- The commit that a job read -------------------------------------------------------------------


def test_a_branch_is_read_at_its_commit_and_a_commit_asks_nobody(hub: Hub) -> None:
    hub.public.commits = {MODEL: {"main": NEW}, DATASET: {"refs/convert/parquet": OLD}}
    assert commit_to_read("lab/model", None) == NEW
    assert commit_to_read("lab/data", "refs/convert/parquet", "dataset") == OLD
    requests = list(hub.requests)
    assert commit_to_read("lab/other", OLD) == OLD
    assert hub.requests == requests
    assert commits_read() == {
        "datasets/lab/data@refs/convert/parquet": OLD,
        "lab/model@main": NEW,
        f"lab/other@{OLD}": OLD,
    }


def test_without_a_network_the_cached_commit_is_read(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.public.commits = {MODEL: {"main": NEW}}
    commit_to_read("lab/model", "main")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert commit_to_read("lab/model", "main") == NEW
    assert commit_to_read("lab/unknown", "main") == "main"
    assert commits_read() == {"lab/model@main": NEW, "lab/unknown@main": None}


def test_a_local_folder_has_no_commit(hub: Hub, tmp_path: Path) -> None:
    assert commit_to_read(str(tmp_path), None) is None
    assert commits_read() == {}
    assert hub.requests == []


def test_the_record_of_a_job_names_the_commits(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lamini.jobs.run.start_job", lambda *_: None)
    hub.public.commits = {MODEL: {"main": NEW}}
    commits._read["lab/earlier@main"] = OLD  # of another job in this process

    def evaluate_model(*, evals: Path) -> dict[str, Any]:
        """The function of a rule that reads a model of the hub."""
        commit_to_read("lab/model", "main")
        evals.parent.mkdir(parents=True)
        evals.write_text("{}")
        return {"rows": 1}

    class Files(list):
        def items(self) -> list[tuple[str, str]]:
            return [("evals", self[0])] if self else []

    job = SimpleNamespace(
        rule="evaluate_model",
        input=Files(),
        output=Files(["results/evals/a.json"]),
        params={},
        wildcards={},
        resources={},
        log=["results/logs/evaluate_model/a.log"],
    )
    run_job(job, evaluate_model)
    record = read_record("results/evals/a.json")
    assert record is not None
    assert record["facts"] == {"rows": 1, "hub_commits": {"lab/model@main": NEW}}


def test_weights_and_tokenizer_are_read_at_the_commit_of_a_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache, as the hub's client writes it, has two commits; `main` is the second."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    forget_commits()
    repository = tmp_path / "models--lab--model"
    for commit, seed in ((OLD, 0), (NEW, 1)):
        tokenizer = gpt2_tokenizer()
        torch.manual_seed(seed)
        model = small_model("gpt2", tokenizer)
        asked = saved_model(repository / "snapshots" / commit, model, tokenizer)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(NEW)
    job = TrainingJob(
        model="student",
        name="Student",
        architecture="decoder-only",
        initialization=Location(path="lab/model", revision="main"),
        tokenizer=Location(path="lab/model"),
        prompt_format="alpaca",
        pad_token=None,
        recipe=Recipe(
            learning_rate=1,
            schedule="linear",
            warmup_ratio=0,
            max_prompt_tokens=9,
            max_response_tokens=9,
        ),
    )
    loaded, _ = load_initialization(job)
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)
    from_hub = asked.model_copy(update={"path": "lab/model", "revision": "main"})
    loaded, _ = load_evaluated_model(from_hub, "fp32", torch.device("cpu"))
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert model_identity(from_hub) == NEW
    assert commits_read() == {"lab/model@main": NEW}


def test_a_student_records_the_commits_that_its_manifest_has(tmp_path: Path) -> None:
    """Training runs in other processes than the one that writes the record."""
    read = {"hub_commits": {"lab/model@main": NEW}}
    for facts, expected in (({"steps": 1}, {}), ({"steps": 1} | read, read)):
        write_json(tmp_path / "final/manifest.json", facts)
        assert _hub_commits(tmp_path) == expected
