"""What is exported, and what is refused before the first job; the table of the exported files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lamini.catalogue import Catalogue
from lamini.catalogue.params.models import ExportsParams
from lamini.command import read_config
from lamini.errors import SettingsError
from lamini.exports.results import ExportCheck
from lamini.tables.export_table import exports_table
from lamini.workflow import Workflow
from lamini.workflow.checks import check_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_projects_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def _flow(exports: dict[str, Any], *overlays: str, **others: Any) -> Workflow:
    config = read_config([Path(overlay) for overlay in overlays], [])
    return Workflow(config | {"exports": exports} | others)


def test_nothing_is_exported_by_default() -> None:
    flow = Workflow(read_config([Path("config/demo.yaml")], []))
    assert flow.export_checks == {}
    assert "exports" not in flow.config.as_params()
    assert "exports" not in Catalogue(flow).tables


def test_each_student_gets_the_files_of_its_architecture() -> None:
    models = ["lamini-demo-gpt2", "lamini-demo-t5"]
    flow = _flow({"models": models, "gguf": ["q8_0"]}, "config/demo.yaml")
    assert list(flow.export_checks.values()) == [
        "results/exports/lamini-demo-gpt2/q8_0.json",
        "results/exports/lamini-demo-t5/float32.json",
        "results/exports/lamini-demo-t5/int8.json",
    ]
    folder = "results/exports/lamini-demo-t5/lamini-demo-t5.int8.ctranslate2"
    assert flow.exported_file("lamini-demo-t5", "int8") == f"{folder}/manifest.json"
    gguf = "results/exports/lamini-demo-gpt2/lamini-demo-gpt2.q8_0.gguf"
    assert flow.exported_file("lamini-demo-gpt2", "q8_0") == gguf
    assert flow.config.exported_task == "openbookqa"
    table = Catalogue(flow).tables["exports"]
    assert table.inputs == {"checks": list(flow.export_checks.values())}
    check = flow.export_check_params("lamini-demo-gpt2", "q8_0")
    assert [*check.tasks] == ["openbookqa"]
    assert "tokens_per_batch" not in check.as_params()["evaluation"], "speed makes nothing stale"
    check_files(flow)


@pytest.mark.parametrize(
    ("exports", "message"),
    [
        ({"models": ["nobody"]}, "exports.models: unknown model 'nobody'"),
        ({"models": ["gpt2"]}, "exports.models: gpt2 has role reference, not student"),
        (
            {"models": ["lamini-gpt-124m"], "task": "record"},
            "exports.task: record is no evaluated task with metric acc or acc_norm",
        ),
        (
            {"models": ["lamini-gpt-124m"], "gguf": []},
            "exports.gguf: empty, so nothing of lamini-gpt-124m is exported",
        ),
        ({"models": ["lamini-gpt-124m"], "gguf": ["q5_k_m"]}, "exports.gguf.0"),
    ],
)
def test_wrong_exports_are_named(exports: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        _flow(exports)
    assert message in str(error.value)


def test_a_student_that_cannot_be_exported_is_named_before_the_first_job() -> None:
    with pytest.raises(SettingsError) as error:
        check_files(_flow({"models": ["lamini-neo-125m", "lamini-gpt-124m"]}))
    lines = [line for line in str(error.value).splitlines() if "exports" in line]
    assert lines == [
        "  exports.models: lamini-neo-125m: llama.cpp does not know GPT-Neo; leave it out"
    ]
    demo = yaml.safe_load(Path("config/demo.yaml").read_text())
    changed = demo["models"]["demo-gpt2"]
    changed["weights"]["build"]["config"] = {"model_type": "opt"}
    config = read_config([Path("config/demo.yaml")], [])
    config["models"]["demo-gpt2"] |= changed
    flow = Workflow(config | {"exports": {"models": ["lamini-demo-gpt2"]}})
    with pytest.raises(SettingsError, match="models of type opt can't be exported to GGUF files"):
        check_files(flow)


def test_a_student_outside_the_run_is_left_out_with_a_note() -> None:
    flow = _flow({"models": ["lamini-gpt-124m"]}, students=["lamini-t5-61m"])
    assert flow.export_checks == {}
    assert "exports.models: without lamini-gpt-124m (not in `students`)" in flow.left_out


def test_the_table_has_share_and_loss_of_each_file(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "model": "small",
        "program": "llama.cpp (xllamacpp 1)",
        "sha256": "aa",
        "instructions": 114,
        "tokens": 1_000,
        "equal_prompts": 113,
        "task": "rte",
        "metric": "acc",
        "examples": 277,
        "checkpoint_score": 55.0,
        "checkpoint_precision": "bf16",
        "equal_examples": 270,
        "shortened": 0,
    }
    paths = []
    for kind, equal, score in (("f16", 1_000, 55.0), ("q4_k_m", 925, 53.2)):
        paths.append(str(tmp_path / f"{kind}.json"))
        ExportCheck(
            **fields,
            type=kind,
            file=f"small.{kind}.gguf",
            bytes=2_500_000,
            equal_tokens=equal,
            equal_answers=100,
            score=score,
        ).write(paths[-1])
    params = ExportsParams(models={"small": "Small"}, task="RTE")
    table = exports_table(paths, params)
    assert [[cell.text() for cell in row] for row in table.rows] == [
        ["Small", "f16", "2.5", "100.00", "100", "113", "55.0", "+0.0"],
        ["Small", "q4_k_m", "2.5", "92.50", "100", "113", "53.2", "-1.8"],
    ]
    assert "acc on RTE" in table.notes[1]
    assert len(table.notes) == 3
