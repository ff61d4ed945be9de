"""Code edits in the finished demo: stale results, and runs that stop for a decision."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from checkouts import Checkout

pytestmark = pytest.mark.slow
LOSSES = "scripts/lamini/training/losses.py"
MATTR = "scripts/lamini/analysis/mattr.py"
STUDENTS = {"lamini-demo-t5", "lamini-demo-gpt2", "lamini-smollm2-135m"}
TRAININGS = {("train_model", f"model={student}") for student in STUDENTS}


@contextmanager
def edited(demo: Checkout, path: str, addition: str) -> Iterator[None]:
    """Append to a file; afterwards restore it and the demo's `results/code.json`."""
    files = {demo.folder / name: (demo.folder / name).read_text() for name in (path, CODE_FILE)}
    try:
        (demo.folder / path).write_text(files[demo.folder / path] + addition)
        yield
    finally:
        for file, text in files.items():
            file.write_text(text)


CODE_FILE = "results/code.json"
WORDS = '\n\n# A comment.\n"""And a text that documents nothing."""\n'
CODE = "\n_UNUSED = 1\n"


def planned(demo: Checkout, *arguments: str) -> set[tuple[str, str]]:
    return demo.planned_jobs("--profile", "demo", *arguments)


def test_the_code_of_every_rule_is_kept(finished_demo: Checkout) -> None:
    kept = json.loads((finished_demo.folder / CODE_FILE).read_text())
    scripts = {path.stem for path in Path(finished_demo.folder / "scripts").glob("*.py")}
    of_published_data = {"import_published"}
    assert set(kept) == (scripts | {"train_model"}) - of_published_data
    assert all(facts["code"] and not facts["accepted"] for facts in kept.values())
    assert "lamini.training.losses" in kept["train_model"]["modules"]


@pytest.mark.parametrize("path", [LOSSES, MATTR, "README.md", "docs/paper.md"])
def test_comments_make_nothing_stale(finished_demo: Checkout, path: str) -> None:
    with edited(finished_demo, path, WORDS):
        assert planned(finished_demo) == set()


def test_cheap_results_are_made_again(finished_demo: Checkout) -> None:
    with edited(finished_demo, MATTR, CODE):
        found = planned(finished_demo)
    assert ("measure_dataset", "mixture=d_all") in found
    assert not {rule for rule, _ in found} & {"train_model", "generate_pairs", "evaluate_suite"}


def test_expensive_results_are_planned_but_wait_for_a_decision(finished_demo: Checkout) -> None:
    manifests = [
        finished_demo.folder / f"results/checkpoints/{student}/final/manifest.json"
        for student in sorted(STUDENTS)
    ]
    before = [path.stat().st_mtime_ns for path in manifests]
    with edited(finished_demo, LOSSES, CODE):
        assert planned(finished_demo) >= TRAININGS
        done = finished_demo.snakemake("--profile", "demo", check=False)
        text = done.stdout + done.stderr
        assert done.returncode != 0
        assert "  train_model: lamini.training.losses\n" in text
        assert "--config code_changes=recompute" in text
        assert 'make accept-code RULES="train_model"' in text
        assert [path.stat().st_mtime_ns for path in manifests] == before

        accepted = finished_demo.run("python", "-m", "lamini.workflow", "train_model")
        assert "accepted the code of these rules: train_model\n" in accepted.stdout
        assert planned(finished_demo) == set()
        again = finished_demo.run("python", "-m", "lamini.workflow")
        assert "nothing to accept" in again.stdout

        with edited(finished_demo, LOSSES, CODE.replace("1", "2")):
            assert planned(finished_demo) >= TRAININGS, "a later edit needs its own acceptance"
        unknown = finished_demo.run("python", "-m", "lamini.workflow", "train", check=False)
        assert unknown.returncode == 1
        assert "train: results/code.json has no such rule" in unknown.stderr
    assert planned(finished_demo) == set()


def test_they_are_planned_alike_on_demand(finished_demo: Checkout) -> None:
    with edited(finished_demo, LOSSES, CODE):
        assert planned(finished_demo, "--config", "code_changes=recompute") >= TRAININGS
