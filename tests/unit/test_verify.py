"""`make verify` finds every lost or damaged file of a finished run."""

from pathlib import Path

import pytest

from lamini.files import write_folder_manifest, write_json
from lamini.jobs.provenance import record_job
from lamini.verify import main, verify

TABLE = "results/tables/table_04.md"
STUDENT = Path("results/checkpoints/m/final")
MANIFEST = str(STUDENT / "manifest.json")
METRICS = str(STUDENT / "metrics.jsonl")


@pytest.fixture(autouse=True)
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with a table, a student, and the output of a user's rule; and a result of old."""
    monkeypatch.chdir(tmp_path)
    files = {TABLE: "| 4 |", METRICS: "{}", str(STUDENT / "model.safetensors"): "weights"}
    for path, content in {**files, "results/mine.txt": "1", "results/old.csv": "2"}.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)
    write_folder_manifest(STUDENT, {})
    jobs = {"make_table": [TABLE], "train_model": [MANIFEST, METRICS], "mine": ["results/mine.txt"]}
    for rule, outputs in {**jobs, "select_topics": ["results/old.csv"]}.items():
        if rule != "mine":
            record_job(rule=rule, settings={}, inputs={}, outputs=outputs)
    empty = {"key": "", "log": "", "benchmark": ""}
    write_json("results/jobs.json", [{"rule": r, "outputs": o, **empty} for r, o in jobs.items()])


def test_a_whole_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == "5 files, 0.00 GB, are as recorded; 1 have no record.\n"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (TABLE, TABLE),
        (METRICS, METRICS),
        (MANIFEST, MANIFEST),
        (str(STUDENT / "model.safetensors"), MANIFEST),
    ],
)
@pytest.mark.parametrize("lost", [True, False])
def test_one_file_less(
    path: str, target: str, lost: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    content = Path(path).read_text()
    Path(path).unlink()
    if not lost:
        Path(path).write_text(content.replace("{", "{ ").replace("s", "S").replace("4", "5"))
    found = verify()
    assert found.problems == {path: "is missing" if lost else "has another checksum"}
    assert main([]) == 1
    printed = capsys.readouterr()
    assert path in printed.out
    assert f"snakemake {target} --force" in printed.err


def test_a_deleted_result_of_an_earlier_configuration_is_no_loss() -> None:
    Path("results/old.csv").unlink()
    assert verify().problems == {}


def test_without_a_run_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/jobs.json").unlink()
    assert main([]) == 1
    assert "results/jobs.json: no such file; no run has started" in capsys.readouterr().err
