"""Seed prompts: every collection's columns, bad rows, sampling, and the hub's way of reading."""

import json
import logging
from pathlib import Path

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamini.errors import LaminiError
from lamini.generation import seeds
from lamini.generation.prompts import PromptPool, prepare_prompts
from lamini.generation.seeds import BadRow, prompt_of
from lamini.settings.params.generation import PreparePrompts
from lamini.settings.sources import SeedData


def write(path: Path, rows: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(seeds: SeedData, samples: int | None = None, seed: int = 1) -> tuple[list, dict]:
        prepare_prompts(
            prompts=tmp_path / "prompts.jsonl",
            funnel=tmp_path / "funnel.json",
            settings=PreparePrompts(
                source="some", seeds=seeds, files=None, samples=samples, seed=seed, version=1
            ),
        )
        lines = (tmp_path / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
        return list(map(json.loads, lines)), json.loads((tmp_path / "funnel.json").read_text())

    return run


@pytest.mark.parametrize(
    ("form", "row", "prompt"),
    [
        (
            "self_instruct",
            {"instruction": "Do.", "instances": [{"input": "", "output": "x"}]},
            "Do.",
        ),
        ("self_instruct", {"instruction": "Do.", "instances": [{"input": " it\n"}]}, "Do.:it"),
        ("self_instruct", {"instruction": "Do.", "instances": []}, "Do."),
        ("alpaca", {"instruction": " Do.", "input": "this", "output": "x"}, "Do.:this"),
        ("alpaca", {"instruction": "Do.", "input": "<noinput>"}, "Do."),
        ("alpaca", {"instruction": "Do.", "input": None}, "Do."),
        ("p3", {"inputs": [1, 2], "inputs_pretokenized": "\nRead.\nAnswer: "}, "Read.\nAnswer:"),
        ("p3", {"inputs": "Read."}, "Read."),
        ("flan", {"inputs": "Read.", "targets": "x", "task": "t"}, "Read."),
        ("jsonl", {"instruction": "Do."}, "Do."),
    ],
)
def test_rows_of_every_collection(form, row, prompt):
    assert prompt_of(row, form) == prompt


@pytest.mark.parametrize(
    "nothing",
    [
        *("", " \n", "noinput", "Noinput", "<noinput>", "<no input>", "< noinput >", "<noinput>."),
        *("<noinput", "<noinputs>", "[noinput]", "(no input)", "`<noinput>`", "\\<noinput\\>"),
        *("No input", "No input.", ":No input", "No Input required.", "No input is needed."),
        *("No additional input required", "Input not required", "No input provided", "no-input"),
        *(
            "N/A",
            "n/a.",
            "<N/A>",
            "N.A.",
            "None",
            "none.",
            "<none>",
            "Not applicable",
            "not needed",
        ),
    ],
)
@pytest.mark.parametrize("form", ["alpaca", "jsonl", "self_instruct"])
def test_all_ways_to_say_that_there_is_no_input(form, nothing):
    row = {"instruction": "Do.", "input": nothing, "instances": [{"input": nothing}]}
    assert prompt_of(row, form) == "Do."


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Nobody knows.", "Nobody knows."),
        ("None of the above", "None of the above"),
        ("No input, no output", "No input, no output"),
        ("Health: None", "Health: None"),
        ("Na", "Na"),
        ("😊", "😊"),
        ("-", "-"),
        ("He was <noinput>", "He was"),
        ("<noinput> 8", "8"),
        ("Ann Lee \n<noinput>", "Ann Lee"),
        ("A poem by Donne\n\nNoinput", "A poem by Donne"),
        ("Explain <noinput> as a token.", "Explain <noinput> as a token."),
    ],
)
def test_inputs_that_resemble_no_input_are_kept(given, kept):
    assert prompt_of({"instruction": "Do.", "input": given}, "alpaca") == f"Do.:{kept}"


@pytest.mark.parametrize(
    ("form", "row", "reason"),
    [
        ("jsonl", None, "not_json"),
        ("jsonl", ["x"], "not_an_object"),
        ("alpaca", {"input": "x"}, "no_instruction"),
        ("alpaca", {"instruction": 3}, "instruction_not_text"),
        ("alpaca", {"instruction": " \n"}, "instruction_empty"),
        ("alpaca", {"instruction": "Do.", "input": 3}, "input_not_text"),
        ("self_instruct", {"instruction": "Do.", "instances": "x"}, "instances_not_a_list"),
        ("p3", {"inputs": [1, 2]}, "inputs_not_text"),
        ("flan", {"targets": "x"}, "no_inputs"),
    ],
)
def test_bad_rows_say_why(form, row, reason):
    with pytest.raises(BadRow, match=f"^{reason}$"):
        prompt_of(row, form)


def test_bad_rows_are_counted_and_located(prepare, tmp_path):
    path = write(tmp_path / "seeds.jsonl", [{"instruction": "Do."}, {"inputs": "x"}])
    path.write_bytes(path.read_bytes() + b'{"instruction": "cut\n' + b'{"instruction": "Go on."}\n')
    seeds = SeedData(format="jsonl", local={"path": str(path)}, max_characters=5)
    rows, funnel = prepare(seeds)
    assert [row["id"] for row in rows] == ["seeds:1"]
    assert funnel["rejected"] == {"no_instruction": 1, "not_json": 1, "too_long": 1}
    assert funnel["rejected_rows"] == [
        {"place": "seeds", "row": 2, "reason": "no_instruction"},
        {"place": "seeds", "row": 3, "reason": "not_json"},
        {"place": "seeds", "row": 4, "reason": "too_long"},
    ]
    assert [stage["left"] for stage in funnel["stages"]] == [4, 1, 1, 1]


def test_a_folder_of_mixed_files_and_the_task_column(prepare, tmp_path):
    folder = tmp_path / "flan"
    write(folder / "b.jsonl", [{"inputs": "b1"}, {"inputs": "b2", "task": "other"}])
    (folder / "a.json").write_text('[{"inputs": "a1"}]', encoding="utf-8")
    polars.DataFrame({"inputs": ["c1"], "ids": [[1, 2]]}).write_parquet(folder / "c.parquet")
    write(folder / "deep" / "b.jsonl", [{"inputs": "d1"}])
    rows, _ = prepare(SeedData(format="flan", local={"path": str(folder)}))
    assert [(row["id"], row["instruction"], row["subset"]) for row in rows] == [
        ("a:1", "a1", "a"),
        ("b:1", "b1", "b"),
        ("b:2", "b2", "other"),
        ("c:1", "c1", "c"),
        ("deep/b:1", "d1", "b"),
    ]


KINDS = {
    "text": "Do.",
    "texts": ["Do.", "Go."],
    "turns": [{"from": "human", "value": "Do."}],
    "struct": {"text": "Do."},
    "number": 3,
    "nothing": None,
}
ARROW = {
    "texts": "list<element: string>",
    "turns": "list<element: struct<from: string, value: string>>",
    "struct": "struct<text: string>",
    "number": "int64",
    "nothing": "null",
}


def write_parquet(path: Path, **columns) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: [value] * 2 for name, value in columns.items()}), path)
    return path


@pytest.mark.parametrize("kind", ARROW)
@pytest.mark.parametrize(
    "case",
    [
        ("jsonl", "instruction", {}),
        ("alpaca", "input", {"instruction": "Do."}),
        ("self_instruct", "instruction", {"instances": KINDS["turns"]}),
        ("flan", "inputs", {}),
        ("p3", "inputs_pretokenized", {"inputs": "Do."}),
    ],
)
def test_a_parquet_column_that_a_format_cannot_read_is_refused(prepare, tmp_path, case, kind):
    form, column, others = case
    path = write_parquet(tmp_path / "s.parquet", **others, **{column: KINDS[kind]})
    seeds = SeedData(format=form, local={"path": str(path)})
    if (column, kind) == ("input", "nothing"):  # no row has an input
        assert [row["instruction"] for row in prepare(seeds)[0]] == ["Do.", "Do."]
        return
    with pytest.raises(LaminiError) as error:
        prepare(seeds)
    assert str(error.value) == (
        f"{path}: the column `{column}` has the type {ARROW[kind]}, but the format `{form}` reads"
        " text there. Convert it, or choose another `seeds.format`"
    )


@pytest.mark.parametrize("kind", ["text", "texts", "struct", "number", "nothing"])
def test_instances_are_a_list_of_structs(prepare, tmp_path, kind):
    path = write_parquet(tmp_path / "s.parquet", instruction="Do.", instances=KINDS[kind])
    found = {"text": "string"}.get(kind, ARROW.get(kind, ""))
    message = f"`instances` has the type {found}, but .* reads a list of structs there"
    with pytest.raises(LaminiError, match=message):
        prepare(SeedData(format="self_instruct", local={"path": str(path)}))


def test_texts_and_instances_are_read_in_every_encoding(prepare, tmp_path):
    instances = pa.array([[{"input": "this", "output": "x"}]])
    texts = pa.array(["Do."])
    kinds = {
        "a": (texts, instances),
        "b": (
            texts.cast(pa.large_string()),
            instances.cast(pa.large_list(instances.type.value_type)),
        ),
        "c": (texts.dictionary_encode(), instances),
    }
    for name, (instruction, given) in kinds.items():
        table = pa.table({"instruction": instruction, "instances": given, "task": instruction})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    rows, _ = prepare(SeedData(format="self_instruct", local={"path": str(tmp_path)}))
    assert [(row["id"], row["instruction"], row["subset"]) for row in rows] == [
        (f"{name}:1", "Do.:this", "Do.") for name in kinds
    ]


def test_a_missing_column_names_those_that_are_there(prepare, tmp_path):
    path = write_parquet(tmp_path / "s.parquet", id="a", conversations=KINDS["turns"])
    with pytest.raises(LaminiError) as error:
        prepare(SeedData(format="jsonl", local={"path": str(path)}))
    assert str(error.value) == (
        f"{path}: has no column `instruction`, which the format `jsonl` reads; it has id (string),"
        f" conversations ({ARROW['turns']}). Write the prompts to a column of this name, or choose"
        " another `seeds.format`"
    )


def test_columns_that_a_format_does_not_read_are_logged(prepare, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("lamini"), "propagate", True)
    seeds._log_once.cache_clear()  # another run of this test in the same process
    others = {"tags": KINDS["texts"], "conversations": KINDS["turns"], "task": 3}
    for name in "ab":
        write_parquet(tmp_path / f"{name}.parquet", instruction="Do.", **others)
    with caplog.at_level("INFO", logger="lamini"):
        rows, _ = prepare(SeedData(format="jsonl", local={"path": str(tmp_path)}))
    assert {row["subset"] for row in rows} == {"a", "b"}
    told = "reads the columns instruction; not read: tags, conversations, task"
    assert caplog.text.count(told) == 1


@pytest.mark.parametrize("kind", ARROW)
def test_a_jsonl_row_of_another_type_is_counted(prepare, tmp_path, kind):
    rows = [
        {"instruction": "Do."},
        {"instruction": KINDS[kind]},
        {"instruction": "Go.", "input": KINDS[kind]},
    ]
    path = write(tmp_path / "s.jsonl", rows)
    found, funnel = prepare(SeedData(format="jsonl", local={"path": str(path)}))
    wrong = {"instruction_not_text": 1, "input_not_text": 1}
    if kind == "nothing":  # the row has no input
        del wrong["input_not_text"]
    assert funnel["rejected"] == wrong
    assert len(found) == 3 - sum(wrong.values())


def test_jsonl_without_the_column_names_those_of_its_first_row(prepare, tmp_path):
    path = write(tmp_path / "s.jsonl", [{"id": 1, "conversations": KINDS["turns"]}] * 2)
    with pytest.raises(LaminiError) as error:
        prepare(SeedData(format="jsonl", local={"path": str(path)}))
    assert str(error.value) == (
        f"{path}: none of 2 rows gives a prompt in the format `jsonl`: {{'no_instruction': 2}}. The"
        " first row has the columns id (int), conversations (list). Choose another"
        " `seeds.format`, or write the prompts to the columns that this one reads"
    )


def test_the_hubs_columns_are_held_to_the_same(prepare, tmp_path):
    def hub(**columns) -> SeedData:
        repo = tmp_path / f"repo{len(list(tmp_path.iterdir()))}"
        write_parquet(repo / "train.parquet", **columns)
        return SeedData(format="alpaca", hub={"repo": str(repo), "revision": "main"})

    rows, _ = prepare(hub(instruction="Do.", input="this", tags=KINDS["texts"]))
    assert [row["instruction"] for row in rows] == ["Do.:this"] * 2
    with pytest.raises(LaminiError, match=r"repo\d \(default\): the column `input` .*list<"):
        prepare(hub(instruction="Do.", input=KINDS["texts"]))
    with pytest.raises(LaminiError, match=r"repo\d \(default\): has no column `instruction`"):
        prepare(hub(conversations=KINDS["turns"]))


def test_samples_depend_only_on_the_seed_and_the_rows(prepare, tmp_path):
    folder = tmp_path / "p3"
    for name, count in (("big", 400), ("small", 7)):
        write(folder / f"{name}.jsonl", [{"inputs": f"{name} {n}"} for n in range(count)])
    seeds = SeedData(format="p3", local={"path": str(folder)}, max_per_subset=50)
    rows, funnel = prepare(seeds)
    assert funnel["prompts_per_subset"] == {"big": 50, "small": 7}
    assert funnel["stages"][2] == {"stage": "subset_limit", "left": 57}
    numbers = [int(row["id"].split(":")[1]) for row in rows[:50]]
    assert numbers == sorted(numbers)
    assert numbers[-1] > 300  # The whole subset is drawn from, not its beginning.
    sample, funnel = prepare(seeds, samples=20)
    assert len(sample) == 20
    assert funnel["stages"][2:] == [
        {"stage": "subset_limit", "left": 57},
        {"stage": "samples", "left": 20},
    ]
    ids = {row["id"] for row in sample}
    assert ids <= {row["id"] for row in rows}
    assert {row["id"] for row in prepare(seeds, samples=20, seed=2)[0]} != ids
    write(folder / "aaa_new.jsonl", [{"inputs": "new"}])
    kept = {row["id"] for row in prepare(seeds, samples=20)[0]} - {"aaa_new:1"}
    assert kept <= ids


def test_few_rows_of_a_file_are_read_when_told(prepare, tmp_path):
    path = write(tmp_path / "seeds.jsonl", [{"instruction": str(n)} for n in range(9)])
    seeds = SeedData(format="jsonl", local={"path": str(path)}, max_rows_per_subset=4)
    assert prepare(seeds)[1]["stages"][0] == {"stage": "rows", "left": 4}


def test_the_hub_is_streamed_by_subset(prepare, tmp_path):
    repo = tmp_path / "collection"
    for name in ("one", "two", "two_score_eval"):
        rows = {"inputs": [[1], [2]], "inputs_pretokenized": [f"{name} a", f"{name} b"]}
        (repo / name).mkdir(parents=True)
        polars.DataFrame(rows).write_parquet(repo / name / "train.parquet")
    configs = "".join(
        f"- config_name: {name}\n  data_files: {name}/train.parquet\n"
        for name in ("two", "two_score_eval", "one")
    )
    (repo / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    hub = {"repo": str(repo), "revision": "main", "exclude_subsets": ["_score_eval$"]}
    rows, _ = prepare(SeedData(format="p3", hub=hub))
    assert [(row["subset"], row["instruction"]) for row in rows] == [
        ("one", "one a"),
        ("one", "one b"),
        ("two", "two a"),
        ("two", "two b"),
    ]
    named = SeedData(format="p3", hub=hub | {"subsets": ["two_score_eval"]}, max_rows_per_subset=1)
    assert [row["id"] for row in prepare(named)[0]] == ["two_score_eval:1"]
    with pytest.raises(LaminiError, match=r"check `seeds.hub`"):
        prepare(SeedData(format="p3", hub=hub | {"subsets": ["three"]}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "no such file"),
        ("seeds.json", b"{}", "expected a JSON list"),
        (
            "seeds.json",
            b"[",
            "seeds.json, line 1, column 2: not valid JSON: Expecting value; correct",
        ),
        ("seeds.parquet", b"PAR1", "not a readable Parquet"),
        ("seeds.txt", b"x", "this form is not read; convert it to"),
        ("seeds.jsonl", b'{"a": 1}\n', "none of 1 rows gives a prompt"),
    ],
)
def test_wrong_files_are_errors(prepare, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LaminiError, match=message):
        prepare(SeedData(format="jsonl", local={"path": str(tmp_path / name)}))


def test_the_pool_offers_what_fits(tmp_path):
    rows = [{"id": str(n), "instruction": "é" * n, "subset": "ab"[n % 2]} for n in range(1, 8)]
    path = write(tmp_path / "prompts.jsonl", rows)
    pool = PromptPool(path, max_characters=6, minimum=1, by_subset=True)
    assert pool.too_long == 1
    read = {pool.read(name, n)["id"] for name in "ab" for n in range(3)}
    assert read == {str(n) for n in range(1, 7)}
    pool.close()
    with pytest.raises(LaminiError, match="no subset has 4 prompts of at most 6 characters"):
        PromptPool(path, max_characters=6, minimum=4, by_subset=True)
