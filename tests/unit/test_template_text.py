"""A template is found from any working directory, or the setting that names it is named."""

from pathlib import Path

import pytest

from lamini.errors import SettingsError
from lamini.workflow.template_text import template_text


def test_a_relative_template_is_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, run = tmp_path / "project", tmp_path / "run"
    (project / "config").mkdir(parents=True)
    run.mkdir()
    monkeypatch.setattr("lamini.paths.PROJECT", project)
    monkeypatch.chdir(run)
    (project / "config/chat.jinja").write_text("the project's")
    assert template_text("config/chat.jinja", "chat.template") == "the project's"
    (run / "config").mkdir()
    (run / "config/chat.jinja").write_text("the run's")
    assert template_text("config/chat.jinja", "chat.template") == "the run's"


def test_a_template_of_a_package_is_found() -> None:
    name = "generation/next_turn_prompt.jinja"
    packaged = Path(__file__).parents[2] / "scripts/lamini" / name
    assert template_text(f"package:lamini/{name}", "x") == packaged.read_text(encoding="utf-8")


def test_a_missing_template_is_named_with_its_setting() -> None:
    with pytest.raises(SettingsError, match=r"tokenizers\.x\.chat\.template: no\.jinja: no such"):
        template_text("no.jinja", "tokenizers.x.chat.template")
