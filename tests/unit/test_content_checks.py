"""Faults in the users' files are named with file, line and remedy before the first job."""

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snakemake.exceptions import WorkflowError

from lamini.command import read_config
from lamini.errors import LaminiError, SettingsError
from lamini.evaluation.user_instructions import read_instructions
from lamini.files import read_jsonl, write_json, write_jsonl
from lamini.generation import seed_check
from lamini.generation.seed_check import SeedFaults, check_seeds
from lamini.human_evaluation.items import make_item
from lamini.human_evaluation.rating_files import FORMAT
from lamini.human_evaluation.selection import choose_instructions
from lamini.settings.sources import SeedData
from lamini.workflow import Workflow
from lamini.workflow.checks import check_files
from lamini.workflow.content_checks import check_ratings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config").symlink_to(ROOT / "config")


def faults(name: str, content: bytes | None = None, **settings: Any) -> SeedFaults:
    if content is not None:
        Path(name).write_bytes(content)
    return check_seeds(SeedData(**{"format": "jsonl", "local": {"path": name}} | settings))


GOOD = b'{"instruction": "Sing."}\n'


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"instruction": "Sw', ", column 17: not valid JSON: Unterminated string starting at"),
        (b"[1]", ": expected an object with columns"),
        (b'{"prompt": "Go", "id": 1}', ": has no column `instruction`; it has prompt, id"),
        (b"{}", ": has no column `instruction`; it has none"),
        (b'{"instruction": 4}', ": `instruction` is no text"),
        (b'{"instruction": "\\u00a0"}', ": `instruction` is empty"),
        (b'{"instruction": "Go", "input": [1]}', ": `input` is no text"),
        (b'{"instruction": "Run, and run."}', ": longer than `seeds.max_characters`"),
        (b'{"instruction": "\\ud800"}', ": not valid JSON: no low surrogate in string"),
    ],
)
def test_a_row_that_is_left_out_is_named_with_its_line(line: bytes, fault: str) -> None:
    content = GOOD + b"\n" + line + b"\n" + GOOD.replace(b"Sing", b"Row")
    assert faults("seeds.jsonl", content, max_characters=9) == SeedFaults(
        left_out=[f"seeds.jsonl, line 3{fault}; correct it"]
    )


def test_another_encoding_is_named_and_a_byte_order_mark_is_no_fault() -> None:
    latin = GOOD + '{"instruction": "Chantez à moi."}\n'.encode("latin-1")
    assert faults("seeds.jsonl", latin).left_out == [
        "seeds.jsonl, line 2: byte 0xe0 is not UTF-8; save the file in UTF-8"
    ]
    assert faults("seeds.jsonl", GOOD.decode().encode("utf-16")).errors == [
        "seeds.jsonl: none of 2 rows gives a prompt in the format `jsonl`; the first: seeds.jsonl:"
        " the text is in UTF-16, and not in UTF-8; save the file in UTF-8. Choose another"
        " `seeds.format`, or write the prompts to the columns that this one reads"
    ]
    assert faults("seeds.jsonl", b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n")) == SeedFaults()
    assert faults("seeds.jsonl.gz", gzip.compress(GOOD)) == SeedFaults()


def test_prompts_of_ones_own_are_there_once() -> None:
    assert faults("seeds.jsonl", GOOD + GOOD).left_out == [
        "seeds.jsonl, line 2: the same prompt as in seeds.jsonl, line 1; remove one"
    ]
    assert faults("seeds.jsonl", format="alpaca") == SeedFaults()


def test_lists_and_tables_have_rows() -> None:
    assert faults("seeds.json", b'[{"instruction": "Sing."}, 3]').left_out == [
        "seeds.json, row 2: expected an object with columns; correct it"
    ]
    assert faults("seeds.json", b'[\n {"instruction": "Sing."},\n]').errors == [
        "seeds.json, line 3, column 1: not valid JSON: Expecting value; correct it"
    ]
    pq.write_table(pa.table({"instruction": ["Sing.", " "]}), "seeds.parquet")
    assert faults("seeds.parquet").left_out == [
        "seeds.parquet, row 2: `instruction` is empty; correct it"
    ]
    pq.write_table(pa.table({"text": ["Sing."]}), "seeds.parquet")
    assert faults("seeds.parquet").errors == [
        "seeds.parquet: has no column `instruction`, which the format `jsonl` reads; it has text"
        " (string). Write the prompts to a column of this name, or choose another `seeds.format`"
    ]


def test_what_cannot_be_used_is_an_error() -> None:
    Path("folder").mkdir()
    Path("folder/a.csv").write_text("instruction\n")
    assert faults("folder").errors[0].startswith("folder/a.csv: this form is not read; convert")
    assert faults("seeds.jsonl", b'{"a": 1}\n').errors == [
        "seeds.jsonl: none of 1 rows gives a prompt in the format `jsonl`; the first: seeds.jsonl,"
        " line 1: has no column `instruction`; it has a; correct it. Choose another `seeds.format`,"
        " or write the prompts to the columns that this one reads"
    ]
    assert faults("seeds.jsonl", b"").errors[0].startswith("seeds.jsonl: none of 0 rows gives")
    cut = gzip.compress(GOOD * 9)[:-9]
    assert faults("seeds.jsonl.gz", cut).errors[0].startswith("seeds.jsonl.gz: damaged (")


def test_the_first_part_of_a_large_file_is_checked() -> None:
    """It may have good rows later, so it is no error that its first part has none."""
    found = faults("seeds.jsonl", b'{"a": 1}\n' * 2**17 + GOOD)
    assert found.errors == []
    assert len(found.left_out) == 6
    assert found.left_out[-1] == f"... and {2**17 - 5} more"
    assert faults("seeds.json", b"[" + b"1," * 2**20) == SeedFaults()


def test_of_many_files_the_first_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder").mkdir()
    for name in "abc":
        pq.write_table(pa.table({"instruction": [" "]}), f"folder/{name}.parquet")
    monkeypatch.setattr(seed_check, "_ALL_BYTES", Path("folder/a.parquet").stat().st_size + 1)
    assert faults("folder") == SeedFaults(
        left_out=[f"folder/{n}.parquet, row 1: `instruction` is empty; correct it" for n in "ab"]
    )


def test_the_instructions_of_a_study_are_checked_line_by_line() -> None:
    good = {"id": "a", "instruction": "Sing", "instances": []}
    for row, message in [
        (good | {"instruction": " "}, "wrong.jsonl, line 3: `instruction` is empty; correct it"),
        (good | {"id": 3}, "wrong.jsonl, line 3: has no text `id`; write one"),
        (good, "wrong.jsonl, line 3: the id 'a' is that of line 1; write another"),
    ]:
        write_jsonl("wrong.jsonl", [good])
        with open("wrong.jsonl", "ab") as handle:
            handle.write(b"\n")
        write_jsonl("more.jsonl", [row])
        Path("wrong.jsonl").write_bytes(
            Path("wrong.jsonl").read_bytes() + Path("more.jsonl").read_bytes()
        )
        with pytest.raises(LaminiError) as raised:
            read_instructions(Path("wrong.jsonl"))
        assert str(raised.value) == message
    Path("bom.jsonl").write_bytes(b"\xef\xbb\xbf" + Path("more.jsonl").read_bytes())
    assert [row["id"] for row in read_instructions(Path("bom.jsonl"))] == ["a"]
    assert [row["id"] for row in read_jsonl("bom.jsonl")] == ["a"]


def demo(**changes: Any) -> Workflow:
    """The demo's workflow with another seed file, instructions, exclusions or rating folder."""
    config = read_config([Path("config/demo.yaml")], [])
    study = config["human_evaluation"]["studies"]["models"]
    for key in ("exclude", "ratings"):
        if key in changes:
            study[key] = changes[key]
    if "instructions" in changes:
        config["answers"]["instructions"] = changes["instructions"]
    if "seeds" in changes:
        config["sources"]["alpaca"]["seeds"] = {
            "format": "jsonl",
            "local": {"path": changes["seeds"]},
        }
    return Workflow(config)


def test_the_demo_has_no_faults() -> None:
    assert check_files(demo()) == []


def test_all_faults_of_all_files_are_told_before_the_first_job() -> None:
    Path("seeds.jsonl").write_bytes(b'{"prompt": "Go"}\n')
    Path("exclude.csv").write_bytes(b"\xef\xbb\xbfid,reason\r\nuser_oriented_task_999,x\r\n")
    Path("ratings").mkdir()
    rating = {"item": "1", "digest": "2", "rating": "E"}
    content = {"format": FORMAT, "study": "models", "annotator": "annotator_1"}
    write_json("ratings/a.json", content | {"ratings": [rating]})
    with pytest.raises(SettingsError) as raised:
        check_files(demo(seeds="seeds.jsonl", exclude="exclude.csv", ratings="ratings"))
    assert str(raised.value).splitlines() == [
        "the configuration is wrong:",
        "  sources.alpaca.seeds: seeds.jsonl: none of 1 rows gives a prompt in the format `jsonl`;"
        " the first: seeds.jsonl, line 1: has no column `instruction`; it has prompt; correct it."
        " Choose another `seeds.format`, or write the prompts to the columns that this one reads",
        "  human_evaluation.studies.models.exclude: exclude.csv, line 2: there is no instruction"
        " 'user_oriented_task_999'; correct the id, or remove the line",
        "  ratings/a.json: rating 1 (item 1): rating 'E' is none of A, B, C, D, null; correct it",
    ]
    Path("seeds.jsonl").write_bytes(GOOD + b"{\n")
    assert check_files(demo(seeds="seeds.jsonl")) == [
        "sources.alpaca.seeds: seeds.jsonl, line 2, column 2: not valid JSON: Expecting property"
        " name enclosed in double quotes; correct it"
    ]
    Path("wrong.jsonl").write_text('{"id": "a", "instruction": "", "instances": []}\n')
    with pytest.raises(SettingsError) as raised:
        check_files(demo(instructions="wrong.jsonl"))
    assert str(raised.value).splitlines() == [
        "the configuration is wrong:",
        "  answers.instructions: wrong.jsonl, line 1: `instruction` is empty; correct it",
    ]


def test_exclusions_in_another_encoding_are_named() -> None:
    Path("exclude.csv").write_bytes("id,reason\na,déjà\n".encode("latin-1"))
    settings = demo().study_params("models")
    with pytest.raises(LaminiError) as raised:
        choose_instructions([{"id": "a", "motivation_app": "x"}], ["exclude.csv"], settings)
    assert str(raised.value) == (
        "exclude.csv, line 2: byte 0xe9 is not UTF-8; save the file in UTF-8"
    )


@pytest.mark.parametrize("planned", [(), ("ratings",), ("ratings", "items")])
def test_ratings_are_compared_with_the_texts_that_stay(planned: tuple[str, ...]) -> None:
    folder = Path("results/human_eval/models")
    folder.mkdir(parents=True)
    item = make_item(
        study="models",
        seed=1,
        group="g",
        subject="m",
        part="response",
        instruction="Do.",
        text="Done.",
    )
    write_jsonl(folder / "items.jsonl", [item.as_row() | {"annotators": ["annotator_1"]}])
    Path("ratings").mkdir()
    rating = {"item": "0" * 12, "digest": item.digest, "rating": "A"}
    content = {"format": FORMAT, "study": "models", "annotator": "annotator_1"}
    write_json("ratings/a.json", content | {"ratings": [rating]})
    flow = demo(ratings="ratings")
    assert check_files(flow) == []
    names = {"ratings": folder / "ratings.csv", "items": folder / "items.jsonl"}
    jobs = [SimpleNamespace(output=[names[name]]) for name in planned]
    workflow = SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: jobs))
    if planned != ("ratings",):
        check_ratings(workflow, flow)
        return
    with pytest.raises(WorkflowError) as raised:
        check_ratings(workflow, flow)
    assert str(raised.value) == (
        "study models, problems in rating files: 1\n  ratings/a.json: rating 1 (item 000000000000):"
        " the study has no such item (was a model or instruction removed?); open the file in the"
        " current page with Import, check what is left, and export again"
    )
