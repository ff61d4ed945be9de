"""A local teacher's name holds the identity of its weights, so that requests depend on them."""

from pathlib import Path

import pytest

from lamini.command import read_config
from lamini.settings.teacher import Teacher
from lamini.workflow import Workflow
from lamini.workflow.weights import with_weights

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef" * 2 + "01234567"


def name(path: Path | str, **server: object) -> str:
    fields = {"model_path": str(path), **server}
    return with_weights(
        Teacher.model_validate(
            {
                "model": "m",
                "backend": "local",
                "server": fields,
                "responses": {"system_message": ""},
            }
        )
    ).model


def test_a_commit_is_cut_and_a_label_is_whole() -> None:
    assert name("a/m", revision=COMMIT) == "m@0123456789ab"
    assert name("a/b", revision="a-label-of-my-own") == "m@a-label-of-my-own"


@pytest.mark.parametrize("overlay", [None, *sorted((ROOT / "config/overlays").glob("*.yaml"))])
def test_a_job_accepts_the_teacher_that_was_planned(overlay: Path | None) -> None:
    flow = Workflow(read_config([overlay] if overlay else [], []))
    for folder in ("instructions", "pairs", "human_eval"):
        for source in flow.config.sources:
            planned = flow.teacher_of(folder, source)
            assert Teacher.model_validate(planned.as_params()) == planned


def test_an_endpoint_of_others_has_the_plain_name() -> None:
    teacher = Teacher.model_validate({"model": "m", "responses": {"system_message": ""}})
    assert with_weights(teacher) == teacher


def test_missing_weights_leave_the_name_to_the_check_of_the_run() -> None:
    assert name("nowhere.gguf") == "m"
    assert name("package:no_such_package/m.gguf") == "m"


@pytest.mark.parametrize("size", [10, 5 * 2**20])
def test_other_bytes_are_other_weights_wherever_the_file_is(tmp_path: Path, size: int) -> None:
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    content = bytearray(range(256)) * (size // 256 + 1)
    first.write_bytes(content)
    second.write_bytes(content)
    assert name(first) == name(second) != "m"
    second.write_bytes(content + b"x")
    assert name(first) != name(second)
    # Training changes bytes everywhere; one changed block of those that are read is enough.
    second.write_bytes(bytes(byte ^ 1 for byte in content))
    assert name(first) != name(second)


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.safetensors").write_bytes(b"weights")
    before = name(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    with_tokenizer = name(tmp_path)
    (tmp_path / "tokenizer.json").rename(tmp_path / "other.json")
    assert len({before, with_tokenizer, name(tmp_path)}) == 3


def test_prices_follow_the_name() -> None:
    teacher = Teacher.model_validate(
        {
            "model": "m",
            "backend": "local",
            "server": {"model_path": "a/m", "revision": COMMIT},
            "prices": {"m": {"prompt": 1, "completion": 2}},
            "responses": {"system_message": ""},
        }
    )
    named = with_weights(teacher)
    assert named.prices[named.model] == teacher.prices["m"]
