"""Rows whose results were made by other code or with other prompts are marked in every format."""

import csv
from pathlib import Path
from typing import Any

import pytest
from score_cases import PUBLISHED, item_params, result, scored

from lamini.files import read_json, write_json
from lamini.jobs.provenance import file_digests, provenance_path, record_job
from lamini.paths import ANSWERS, CHECKPOINT_MANIFEST, EVALUATION, INSTRUCTIONS, PAIRS
from lamini.tables.make import make_table
from lamini.tables.row_records import eval_files, mark_rows, rated_files, source_files
from lamini.tables.table import Cell, Table, text_cell

TASKS = {"rte": "RTE", "sst2": "SST"}
MODELS = ("a", "b", "c")
USUAL, OTHER = "1" * 32, "2" * 32
COMMIT, LATER = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def _evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three models, trained and evaluated on two tasks by the same code."""
    monkeypatch.chdir(tmp_path)
    code = {"commit": COMMIT, "date": "2026-01-02", "modified": False}
    monkeypatch.setattr("lamini.jobs.provenance.code_version", lambda: code)
    monkeypatch.setattr("lamini.jobs.provenance.code_digest", lambda rule: USUAL)
    for model in MODELS:
        manifest = CHECKPOINT_MANIFEST.format(model=model)
        write_json(manifest, {})
        _record("train_model", {"model": model}, [], manifest)
        _evaluate(model)


def _evaluate(model: str, prompts: str = "ee" * 16, chat: Any = None) -> None:
    for task in TASKS:
        path = EVALUATION.format(model=model, task=task)
        changes = {"prompt_format": "chat"} if chat else {}
        result(model, task, values=[1.0, 0.0], requests_hash=prompts, **changes).write(path)
        settings = {"model": {"model": model, **({"chat": chat} if chat else {})}}
        _record("evaluate_model", settings, [CHECKPOINT_MANIFEST.format(model=model)], path)


def _record(rule: str, settings: dict[str, Any], inputs: list[str], *outputs: str) -> None:
    record_job(rule=rule, settings=settings, inputs=file_digests(inputs), outputs=outputs)


def _edit(artifact: str, **changes: Any) -> None:
    """Change the record of the job that made an artifact, for this artifact alone."""
    path = provenance_path(artifact)
    record = read_json(path)
    job = f"{record['job']}.edited.json"
    write_json(job, read_json(record["job"]) | changes)
    write_json(path, record | {"job": job})


def _other_code(model: str) -> None:
    code = {"commit": LATER, "date": "2026-02-03", "modified": True}
    for task in TASKS:
        _edit(EVALUATION.format(model=model, task=task), code_digest=OTHER, code=code)


def _make(name: str, params: dict[str, Any]) -> dict[str, str]:
    """Text of a table's files, by format."""
    evals = [EVALUATION.format(model=model, task=task) for model in MODELS for task in TASKS]
    outputs: dict[str, str | Path] = {
        form: f"table.{form}" for form in ("csv", "md", "tex", "json")
    }
    inputs = {"evals": list(map(Path, evals)), "published": Path(PUBLISHED["published"])}
    make_table(name, inputs, item_params(params, reproduction=True), outputs)
    return {form: Path(path).read_text() for form, path in outputs.items()}


def _scores() -> dict[str, str]:
    models = [scored(model, f"Model {model}") for model in MODELS]
    return _make("scores", {"title": "", "models": models, "published_models": [], "tasks": TASKS})


def _marked() -> list[list[Any]]:
    """Number, name and remark of each marked row of the table of scores."""
    with open("table.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    cells = read_json("table.json")["rows"]
    assert [row["Model"] for row in rows] == [row[0]["value"] for row in cells]
    return [
        [number, cells[number][0]["text"], row["Made differently"]]
        for number, row in enumerate(rows)
        if row.get("Made differently") or cells[number][0]["text"].endswith("‡")
    ]


def test_a_model_evaluated_by_other_code_is_marked_in_every_format() -> None:
    before = _scores()
    _other_code("b")
    after = _scores()
    fact = (
        "other code: evaluate_model 22222222 (commit bbbbbbbb with uncommitted changes),"
        " most rows 11111111 (commit aaaaaaaa)"
    )
    assert _marked() == [[1, "Model b‡", fact]]
    assert read_json("table.json")["notes"][-1] == f"‡ {fact} (Model b)."
    assert f"\n‡ {fact} (Model b).\n" in after["md"]
    assert "| Model b‡ |" in after["md"]
    assert "Model b‡ &" in after["tex"]
    assert after["md"].count("‡") == 2
    assert "‡" not in "".join(before.values())


def test_rows_made_alike_have_the_bytes_of_a_table_without_records() -> None:
    recorded = _scores()
    for path in Path("results/provenance/evals").rglob("*.json"):
        path.unlink()
    assert _scores() == recorded


def test_the_code_of_a_training_counts_for_its_evaluations() -> None:
    _edit(CHECKPOINT_MANIFEST.format(model="c"), code_digest=OTHER)
    _scores()
    fact = (
        "other code: train_model 22222222 (commit aaaaaaaa), most rows 11111111 (commit aaaaaaaa)"
    )
    assert _marked() == [[2, "Model c‡", fact]]


def test_another_wording_of_a_task_is_marked() -> None:
    _evaluate("a", "dd" * 16)
    _scores()
    facts = [
        f"other prompts: requests of {task} dddddddd (task version 1.0),"
        " most rows eeeeeeee (task version 1.0)"
        for task in TASKS
    ]
    assert _marked() == [[0, "Model a‡", "; ".join(facts)]]


def test_another_prompt_format_is_a_setting_and_no_reason_for_a_mark() -> None:
    for task in TASKS:
        path = EVALUATION.format(model="a", task=task)
        result("a", task, values=[1.0, 0.0], requests_hash="dd" * 16, prompt_format="alpaca").write(
            path
        )
    assert "‡" not in "".join(_scores().values())


def test_another_chat_template_is_marked_but_not_its_texts() -> None:
    for model, template in zip(MODELS, ("one", "one", "two"), strict=True):
        _evaluate(model, model * 32, {"template": template, "system": None, "options": {}})
    _scores()
    ((number, name, fact),) = _marked()
    assert (number, name) == (2, "Model c‡")
    assert fact.startswith("other prompts: chat template ")
    assert ";" not in fact


def test_a_row_without_a_record_is_named_if_others_have_one() -> None:
    provenance_path(EVALUATION.format(model="b", task="sst2")).unlink()
    _scores()
    assert _marked() == [[1, "Model b‡", "code and prompts not recorded"]]


def test_without_any_record_nothing_is_marked() -> None:
    for path in Path("results/provenance").rglob("*.json"):
        path.unlink()
    assert "‡" not in "".join(_scores().values())


def test_rows_of_tasks_are_named_by_task_and_model() -> None:
    _edit(EVALUATION.format(model="b", task="rte"), code_digest=OTHER)
    rows = [[text_cell(TASKS[task]), text_cell(model)] for task in TASKS for model in MODELS]
    files = [[EVALUATION.format(model=m, task=task)] for task in TASKS for m in MODELS]
    evals = [Path(path) for (path,) in files]
    table = mark_rows(Table(["Task", "Model"], rows, row_files=files), [evals])
    assert [bool(mark) for mark in table.row_marks] == [False, True, *[False] * 4]
    assert table.notes == [f"‡ {table.row_marks[1]} (RTE, b)."]


@pytest.mark.parametrize("models", ["ab", "ba"])
def test_with_equal_numbers_a_row_of_several_versions_is_marked(models: str) -> None:
    _other_code("b")
    groups = {"a": ["a"], "b": ["a", "b"]}
    rows = [[text_cell(model)] for model in models]
    files = [eval_files(groups[model], TASKS) for model in models]
    evals = [Path(path) for path in eval_files("ab", TASKS)]
    table = mark_rows(Table(["Models"], rows, row_files=files), [evals])
    assert [row[0].text() for row in table.rows] == [f"{m}‡" if m == "b" else m for m in models]


def test_sources_with_another_instruction_template_or_system_message_are_marked() -> None:
    paths = []
    for source in ("x", "y", "z"):
        instructions, pairs = (p.format(source=source, shard="0") for p in (INSTRUCTIONS, PAIRS))
        for path in (instructions, pairs):
            write_json(path, source)
        requests = {"prompt": {"template": "mine.jinja"}} if source == "y" else {}
        _record("generate_instructions", {"requests": requests}, [], instructions)
        message = "Be brief." if source == "z" else "Be kind."
        responses = {"responses": {"system_message": message}}
        _record("generate_pairs", responses, [instructions], pairs)
        paths.append(pairs)
    write_json("results/analysis/generation.csv", 0)
    _record("summarize_generation", {}, paths, "results/analysis/generation.csv")
    rows = [[text_cell(source)] for source in ("x", "y", "z", "all")]
    files = [source_files(source) for source in ("x", "y", "z", "all")]
    made = Table(["Source"], rows, row_files=files)
    table = mark_rows(made, [Path("results/analysis/generation.csv")])
    kinds = [mark.rpartition(" most rows")[0].rpartition(" ")[0] for mark in table.row_marks]
    assert kinds == [
        "",
        "other prompts: instruction template",
        "other prompts: system message of the responses",
        "",
    ]


def test_rated_models_are_marked_by_the_code_of_their_answers() -> None:
    paths = [Path(ANSWERS.format(model=model)) for model in MODELS]
    for model, path in zip(MODELS, paths, strict=True):
        write_json(path, model)
        _record("generate_answers", {"model": {"model": model}}, [], str(path))
    _edit(str(paths[2]), code_digest=OTHER)
    files = [rated_files("models", [model], machine=True) for model in MODELS]
    rows = [[text_cell(model), Cell(1, ours=True)] for model in MODELS]
    table = mark_rows(Table(["Rated", "Mean"], rows, row_files=files), [paths])
    assert [row[0].text() for row in table.rows] == ["a", "b", "c‡"]


def test_files_are_named_for_all_rows_or_none() -> None:
    with pytest.raises(ValueError, match="files of 1 rows; there are 2"):
        Table(["A"], [[Cell(1)], [Cell(2)]], row_files=[[]])
