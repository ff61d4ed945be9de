"""Copies of finished outputs that a successful workflow deletes."""

from pathlib import Path

import pytest

from lamini.jobs.kept_outputs import forget_accepted

OUTPUTS = (
    "checkpoints/small/final/manifest.json",
    "evals/small/rte.json",
    "answers/small.jsonl",
)
COPIES = (
    "checkpoints/small/work/final/manifest.json",
    "evals/small/work/rte.json",
    "answers/work/small.jsonl",
)
UNFINISHED = (
    "checkpoints/small/work/step-0000003/model.safetensors",
    "evals/small/work/sst2.json",
    "answers/work/other.jsonl",
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name in (*OUTPUTS, *COPIES, *UNFINISHED):
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "results"


def _files(results: Path) -> set[str]:
    return {str(p.relative_to(results)) for p in results.rglob("*") if p.is_file()}


def test_copies_of_accepted_outputs_go_and_unfinished_work_stays(results: Path) -> None:
    removed = forget_accepted(results, results.parent / ".snakemake")
    assert {str(path.relative_to(results)) for path in removed} == set(COPIES)
    assert _files(results) == {*OUTPUTS, *UNFINISHED}


def test_nothing_goes_while_another_run_has_left_a_job_behind(results: Path) -> None:
    markers = results.parent / ".snakemake/incomplete"
    markers.mkdir(parents=True)
    (markers / "cmVzdWx0cw==").touch()
    assert forget_accepted(results, markers.parent) == []
    assert _files(results) == {*OUTPUTS, *COPIES, *UNFINISHED}
