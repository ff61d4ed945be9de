"""A job gets the rule's entries by name; its inputs and outputs are recorded."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards

from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.jobs import run_job
from lamini.jobs.provenance import file_digests, provenance_path, read_record, record_job
from lamini.jobs.run import arguments, job_name
from lamini.settings.params.generation import SelectQueries

SETTINGS = {"source": "alpaca", "deduplication": {"version": 3}, "shards": 2, "version": 1}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The real one takes the log of all later tests, too; tests/workflow have it.
    monkeypatch.setattr("lamini.jobs.run.start_job", lambda log, name: STARTED.append((log, name)))


STARTED: list[tuple[str, str]] = []


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def written(path: str, text: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return path


def named(kind: Callable[[], Any], values: dict[str, Any]) -> Any:
    """A `Namedlist` of Snakemake, whose entries are single values or lists."""
    made = kind()
    for name, value in values.items():
        start = len(made)
        made.extend(value if isinstance(value, list) else [value])
        made._set_name(name, start, end=len(made) if isinstance(value, list) else None)
    return made


def rule(
    inputs: dict[str, Any], outputs: dict[str, Any], params: dict[str, Any], **wildcards: str
) -> Any:
    """The object that Snakemake gives to a script, built from its own classes."""
    return SimpleNamespace(
        resources={},
        rule="select_queries_alpaca",
        input=named(InputFiles, inputs),
        output=named(OutputFiles, outputs),
        params=named(Params, params),
        wildcards=named(Wildcards, wildcards),
        log=Log(["results/logs/select_queries/alpaca.log"]),
    )


def select_queries(
    *,
    prompts: Path,
    shards: list[Path],
    funnel: Path,
    settings: SelectQueries,
    tokens_per_batch: int | None,
    shard: str,
) -> dict[str, Any]:
    """The function of a rule: writes its output."""
    assert prompts.read_text() == "prompts"
    for path in (*shards, funnel):
        written(str(path), path.name + shard)
    return {"ledger": "a.ledger.jsonl", "limit": tokens_per_batch, "version": settings.version}


def _job() -> Any:
    return rule(
        {"prompts": written("results/prompts/a.jsonl", "prompts"), "unused": ["config/seeds"]},
        {"shards": ["results/queries/0.jsonl", "results/queries/1.jsonl"], "funnel": "results/f"},
        {"settings": SETTINGS, "tokens_per_batch": None},
        shard="0001",
    )


def test_a_function_gets_what_its_rule_declares() -> None:
    assert arguments(_job(), select_queries) == {
        "prompts": Path("results/prompts/a.jsonl"),
        "shards": [Path("results/queries/0.jsonl"), Path("results/queries/1.jsonl")],
        "funnel": Path("results/f"),
        "settings": SelectQueries.model_validate(SETTINGS),
        "tokens_per_batch": None,
        "shard": "0001",
    }

    def draw_figure(inputs: Any, outputs: Any) -> None:
        """A function that takes all named files."""

    assert arguments(_job(), draw_figure) == {
        "inputs": {"prompts": Path("results/prompts/a.jsonl"), "unused": [Path("config/seeds")]},
        "outputs": {
            "shards": [Path("results/queries/0.jsonl"), Path("results/queries/1.jsonl")],
            "funnel": Path("results/f"),
        },
    }


def test_errors_name_the_missing_entry_of_a_rule() -> None:
    def misspelt(*, promts: Path) -> None:
        """A function with a parameter that the rule lacks."""

    message = r"misspelt\(promts\): rule select_queries_alpaca .* found none"
    with pytest.raises(TypeError, match=message):
        arguments(_job(), misspelt)


def test_a_name_that_two_things_of_a_rule_have_is_refused() -> None:
    def takes(*, manifest: Path) -> None:
        """A function with a parameter that is both an input and an output."""

    job = rule({"manifest": "results/read"}, {"manifest": "results/written"}, {})
    with pytest.raises(TypeError, match=r"takes\(manifest\): .* found input, output"):
        arguments(job, takes)


def test_params_of_another_rule_are_refused() -> None:
    job = rule({}, {}, {"settings": SETTINGS | {"new": 1}})

    def takes(*, settings: SelectQueries) -> None:
        """A function that takes validated settings."""

    with pytest.raises(ValueError, match="new"):
        arguments(job, takes)


def test_all_that_a_rule_declares_is_recorded() -> None:
    written("config/seeds/a.jsonl", "a")
    written("config/seeds/sub/b.jsonl", "b")
    STARTED.clear()
    run_job(_job(), select_queries)
    assert STARTED == [("results/logs/select_queries/alpaca.log", "select_queries alpaca")]
    job = read_record("results/f")
    assert job is not None
    assert job["rule"] == "select_queries"
    assert job["settings"] == SETTINGS, "without the params of speed"
    assert job["inputs"] == {
        "results/prompts/a.jsonl": sha256("prompts"),
        "config/seeds/a.jsonl": sha256("a"),
        "config/seeds/sub/b.jsonl": sha256("b"),
    }
    assert job["outputs"] == ["results/queries/0.jsonl", "results/queries/1.jsonl", "results/f"]
    assert job["facts"] == {"ledger": "a.ledger.jsonl", "limit": None, "version": 1}
    for path in job["outputs"]:
        record = read_json(provenance_path(path))
        assert record["sha256"] == sha256(Path(path).name + "0001")
        assert record["job"] == job["job"]
    assert len(list(Path("results/provenance/jobs").iterdir())) == 1


def test_inputs_are_recorded_as_they_were_read() -> None:
    def changes(*, prompts: Path, shards: list[Path], funnel: Path) -> None:
        """A function during which another job changes the input."""
        prompts.write_text("others")
        for path in (*shards, funnel):
            written(str(path), "made")

    run_job(_job(), changes)
    record = read_record("results/f")
    assert record is not None
    assert record["inputs"]["results/prompts/a.jsonl"] == sha256("prompts")


def test_a_job_that_fails_leaves_no_record() -> None:
    def fails(*, prompts: Path) -> None:
        """A function that raises an error."""
        raise ValueError(prompts)

    with pytest.raises(ValueError, match="prompts"):
        run_job(_job(), fails)
    assert not Path("results/provenance").exists()


def test_an_output_that_was_not_written_is_named() -> None:
    def forgets(*, shards: list[Path], funnel: Path) -> None:
        """A function that writes all shards except the last."""
        for path in (shards[0], funnel):
            written(str(path), "made")

    with pytest.raises(LaminiError, match=r"results/queries/1\.jsonl: declared by forgets, but"):
        run_job(_job(), forgets)
    assert not Path("results/provenance").exists()


@pytest.mark.parametrize(
    ("settings", "seed"),
    [({"seed": 7}, 7), ({"recipe": {"seed": 8, "epochs": 1}}, 8), ({"version": 1}, None)],
)
def test_the_seed_is_found_among_the_settings(settings: dict[str, Any], seed: int | None) -> None:
    output = written("results/a", "a")
    record_job(rule="r", settings=settings, inputs={}, outputs=[output])
    record = read_record(output)
    assert record is not None
    assert record["seed"] == seed


def test_the_same_job_has_one_record() -> None:
    for settings in ({"version": 1}, {"version": 1}, {"version": 2}):
        record_job(rule="r", settings=settings, inputs={}, outputs=[written("results/a", "a")])
    assert len(list(Path("results/provenance/jobs").iterdir())) == 2
    record = read_record("results/a")
    assert record is not None
    assert record["settings"] == {"version": 2}
    assert read_record("results/b") is None


def test_missing_files_have_no_digest() -> None:
    assert file_digests([written("a", "a"), "missing"]) == {"a": sha256("a")}


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("results/logs/generate_pairs/alpaca/0003.log", "generate_pairs alpaca/0003"),
        ("results/logs/evaluate_others/gpt2.log", "evaluate_others gpt2"),
        ("results/logs/write_report.log", "write_report"),
        ("results/logs/train_model/lamini-t5-61m.log", "train_model lamini-t5-61m"),
        ("results/logs/evaluate_x/llama-3.2-1b.log", "evaluate_x llama-3.2-1b"),
        ("/tmp/by-hand.log", "by-hand"),
    ],
)
def test_a_job_is_named_by_its_log(log: str, name: str) -> None:
    assert job_name(log) == name
