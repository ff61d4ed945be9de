"""Leaving out models, sources or tasks is one edit: all other sections follow, and say so."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from lamini.catalogue import Catalogue
from lamini.command import read_config
from lamini.errors import SettingsError
from lamini.workflow import Workflow

ROOT = Path(__file__).parents[2]
STUDIES = "human_evaluation.studies"
QWEN = {
    "models": {
        "qwen": {
            "name": "Qwen",
            "role": "reference",
            "architecture": "decoder-only",
            "family": "Qwen",
            "parameters": 1000,
            "tokenizer": "gpt2",
            "weights": {"folder": "models/qwen"},
        },
        "lamini-qwen": {
            "name": "LaMini-Qwen",
            "role": "student",
            "initialization": "qwen",
            "recipe": "decoder_only",
        },
    },
    "students": ["lamini-qwen"],
    "references": ["qwen"],
}
COOKING = {
    "sources": {
        "cooking": {
            "symbol": "Cooking",
            "samples": 8,
            "shards": 1,
            "seeds": {"format": "jsonl", "local": {"path": "cooking.jsonl"}},
        }
    }
}
ARC = {
    "tasks": {
        "arc_easy": {
            "name": "ARC-Easy",
            "category": "QA",
            "metric": "acc",
            "examples": 3,
            "data": {"repo": "allenai/ai2_arc", "split": "test"},
        }
    }
}


@cache
def _config(*overlays: str) -> dict[str, Any]:
    return read_config([Path(overlay) for overlay in overlays], [])


def _catalogue(changes: dict[str, Any], *overlays: str) -> Catalogue:
    config = deepcopy(_config(*overlays))
    update_config(config, changes)
    return Catalogue(Workflow(config))


def _everything(catalogue: Catalogue) -> str:
    """Inputs and params of all tables and figures and of the report, as Snakemake asks for them."""
    items = [*catalogue.tables.values(), *catalogue.figures.values()]
    asked: list[Any] = [(item.inputs, item.params) for item in items]
    asked += [catalogue.report_inputs(), catalogue.report_params().as_params()]
    flow = catalogue.flow
    asked += [(flow.study_inputs(s), flow.study_params(s)) for s in flow.studies]
    return str(asked)


@pytest.mark.parametrize("overlay", ["config/demo.yaml", "config/overlays/published.yaml"])
@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"students": []}, [f"{STUDIES}.models.models", "report.selected"]),
        ({"references": []}, [f"{STUDIES}.models.models", "report.reference_lines"]),
        (QWEN, [f"{STUDIES}.models: left out", "report.selected", "report.reference_lines"]),
        (ARC | {"evaluated_tasks": ["arc_easy"]}, []),
        ({"evaluated_tasks": ["rte"]}, []),
        ({"mixtures": {"d_all": {"sources": ["alpaca"]}}}, ["analysis.embeddings.panels"]),
        (
            COOKING | {"mixtures": {"d_all": {"sources": ["cooking", "alpaca"]}}},
            ["analysis.embeddings.panels"],
        ),
    ],
)
def test_one_edit_is_one_block(
    monkeypatch: pytest.MonkeyPatch, overlay: str, changes: dict[str, Any], noted: list[str]
) -> None:
    monkeypatch.chdir(ROOT)
    catalogue = _catalogue(changes, overlay)
    notes = catalogue.flow.left_out
    assert all(any(note.startswith(key) for note in notes) for key in noted)
    assert bool(notes) == bool(noted)
    models = {*catalogue.config.students, *catalogue.config.references}
    asked = _everything(catalogue)
    left_out = {m for m in _catalogue({}, overlay).config.students if m not in models}
    assert not [model for model in left_out if f"/{model}/" in asked or f"'{model}'" in asked]
    assert catalogue.report_params().left_out == notes
    panels = catalogue.config.analysis.embeddings.panels
    assert ("3" in catalogue.figures) == bool(panels)
    assert ("results/analysis/d_all/projection.parquet" in asked) == bool(panels)


def test_without_changes_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert _catalogue({}).flow.left_out == []
    assert _catalogue({}, "config/demo.yaml").flow.left_out == []


def test_the_analysed_mixture_is_that_of_the_students(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own = {"mixtures": {"own": {"sources": ["alpaca", "original_p3"]}}}
    assert _catalogue(own).mixture == "d_all"
    student = {"lamini-t5-61m": {"mixture": "own"}}
    assert _catalogue(own | {"models": student, "students": ["lamini-t5-61m"]}).mixture == "own"
    student = {"lamini-t5-61m": {"mixture": "d_all_decontaminated"}}
    assert _catalogue({"models": student, "students": ["lamini-t5-61m"]}).mixture == "d_all"


def test_a_mixture_of_ones_own_needs_no_edit_of_a_decontaminated_one_that_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    changes = yaml.safe_load(
        """
        mixtures: {d_all: {sources: [cooking]}}
        sources:
          cooking:
            {symbol: C, samples: 9, shards: 1, seeds: {format: jsonl, local: {path: a.jsonl}}}
        """
    )
    flow = _catalogue(changes).flow
    assert flow.active_sources == ["cooking"] and flow.used_mixtures == ["d_all"]
    with pytest.raises(SettingsError, match="d_all has no source of d_all_decontaminated"):
        _catalogue(changes | {"models": {"lamini-t5-61m": {"mixture": "d_all_decontaminated"}}})


def test_a_decontaminated_mixture_follows_its_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    changes = yaml.safe_load(
        """
        mixtures: {d_all: {sources: [alpaca, original_p3]}}
        models: {lamini-t5-61m: {mixture: d_all_decontaminated}}
        """
    )
    flow = _catalogue(changes).flow
    assert flow.config.mixtures["d_all_decontaminated"].sources == ["alpaca", "original_p3"]
    assert [note for note in flow.left_out if "mixtures.d_all_decontaminated.sources" in note] == [
        "mixtures.d_all_decontaminated.sources: without self_instruct_without_topic,"
        " self_instruct_with_topic, generated_p3, generated_flan, original_flan (not in d_all)"
    ]
