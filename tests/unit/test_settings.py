"""The configuration is checked as a whole; errors name the wrong keys."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamini.errors import SettingsError
from lamini.settings import load_settings
from lamini.settings.__main__ import REFERENCE, SCHEMA, generated_texts

CONFIG = Path(__file__).parents[2] / "config"


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base


def _load(*names: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names:
        _merge(merged, yaml.safe_load((CONFIG / f"{name}.yaml").read_text()))
    return merged


@pytest.fixture
def paper() -> dict[str, Any]:
    return _load("config", "sources", "models", "tasks")


def test_the_paper_is_all_there(paper: dict[str, Any]) -> None:
    settings = load_settings(paper)
    assert list(settings.sources) == [
        "self_instruct_without_topic",
        "self_instruct_with_topic",
        "generated_p3",
        "generated_flan",
        "alpaca",
        "original_p3",
        "original_flan",
    ], "the `instruction_source` values of the released dataset, in the order of Table 1"
    assert sum(source.samples for source in settings.sources.values()) == 2_580_000
    assert (len(settings.students), len(settings.evaluated_tasks)) == (15, 15)
    assert {"llama-7b", "alpaca-7b"} <= set(settings.references)
    rates = {name: settings.recipe(name).learning_rate for name in settings.students}
    assert set(rates.values()) == {5e-4, 2e-5}
    assert all((rates[n] == 5e-4) == ("t5" in n) for n in rates)


def test_the_papers_numbers_are_those_of_the_published_tables(paper: dict[str, Any]) -> None:
    import csv

    settings = load_settings(paper)
    with (CONFIG / "paper" / "models.csv").open() as handle:
        for row in csv.DictReader(handle):
            model = settings.models[row["name"].lower()]
            assert model.name == row["name"]
            assert model.recommended == (row["recommended"] == "yes")
            start = settings.models[model.initialization or ""]
            assert start.weights and start.weights.hub and start.weights.hub.repo == row["hub_id"]
            assert settings.recipe(row["name"].lower()).learning_rate == float(row["learning_rate"])
    with (CONFIG / "paper" / "tasks.csv").open() as handle:
        published = {row["dataset"]: row for row in csv.DictReader(handle)}
    for task in settings.tasks.values():
        assert task.examples == int(published[task.name]["examples"])
        assert task.metric == published[task.name]["metric"]


def test_the_demo_is_a_valid_overlay() -> None:
    demo = load_settings(_load("config", "sources", "models", "tasks", "demo"))
    assert not demo.report.reproduction
    assert sum(s.samples for s in demo.sources.values() if s.generation) >= 120
    assert sum(s.samples for s in demo.sources.values()) >= 240


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("teacher.modle", "x", "teacher.modle: no such setting; did you mean `mode` or `model`?"),
        (
            "teacher.mode",
            "repaly",
            "teacher.mode: Input should be 'live' or 'replay'; did you mean `replay`?",
        ),
        ("teacher", None, "  teacher: expected settings (`key: value`), found nothing"),
        (
            "recipes.encoder_decodr",
            {"epochs": 3},
            "recipes.encoder_decodr: lacks learning_rate, schedule, warmup_ratio,"
            " max_prompt_tokens, max_response_tokens; did you mean `encoder_decoder` or",
        ),
        ("sources.alpaca.shard", 2, "did you mean `shards`?"),
        ("sources.alpaca.samples", -3, "sources.alpaca.samples:"),
        ("sources.alpaca.shards", 50_001, "sources.alpaca.shards:"),
        ("sources.alpaca.shards", 5000, None),
        ("students", ["lamini-t5-62m"], "unknown model 'lamini-t5-62m'"),
        (
            "students",
            ["lamini-t5-62m"],
            "'lamini-t5-62m'; did you mean `lamini-t5-61m` or `lamini-t5-223m`? (defined under `",
        ),
        ("students", ["t5-small"], "t5-small has role reference, not student"),
        ("evaluated_tasks", ["rte2"], "unknown task 'rte2'"),
        (
            "evaluated_tasks",
            ["rte2"],
            "other task of lm-eval can be defined there (docs/own-herd.md)",
        ),
        (
            "models.t5-small.parameters",
            "60.5 million",
            "models.t5-small.parameters: write a whole number, or one with K, M or B",
        ),
        ("evaluation.batches", {"a": ["rte"], "b": ["rte"]}, "in batches a and b"),
        ("models.lamini-t5-61m.recipe_changes", {"epoch": 3}, "recipe_changes"),
        (
            "models.lamini-t5-61m.architecture",
            "decoder-only",
            "  models.lamini-t5-61m.architecture: decoder-only, but its initialization t5-small has"
            " encoder-decoder; leave it out",
        ),
        (
            "models.lamini-t5-61m.parameters",
            61_000_000,
            "  models.lamini-t5-61m.parameters: 61000000, but its initialization t5-small has"
            " 60506624; leave it out",
        ),
        (
            "models.lamini-t5-61m.initialization",
            "t5-tiny",
            "\n  models.lamini-t5-61m.initialization: 't5-tiny' is no reference model of `models`",
        ),
        ("models.lamini-t5-61m.initialization", "lamini-t5-223m", "is no reference model"),
        ("models.lamini-t5-61m.initialization", ["t5-small"], "is no reference model"),
        ("models.lamini-t5-61m", None, "models.lamini-t5-61m:"),
        ("models", ["t5-small"], "models:"),
        (
            "models.t5-small.weights",
            {"folder": "a", "hub": {"repo": "b", "revision": "c"}},
            "  models.t5-small.weights: set exactly one of hub, folder, build; found hub, folder",
        ),
        ("published", {}, "  published: set exactly one of local, hub; found none"),
        ("mixtures.d_all.sources", ["alpacca"], "unknown source 'alpacca'"),
        ("teacher.server", None, "backend `local` needs `server`"),
        ("teacher.budget_dollars", 10, "budget_dollars needs `prices.Qwen2.5-7B-Instruct`"),
        ("teacher.budget_tokens", 10, None),
        ("teacher.model", "gpt-x", "`model` is gpt-x, but backend `local` serves Qwen/Qwen2.5-7B"),
        ("teacher.model", "Qwen/Qwen2.5-7B-Instruct", None),
        (
            "teacher.endpoints",
            [{"base_url": "http://a:1/v1"}],
            "backend `local` asks no `endpoints`: set `backend: external`",
        ),
        ("teacher.server.revision", "a b", "teacher.server.revision"),
        ("teacher.model", 3, "teacher.model:"),
        ("recipes.decoder_only.learning_rate", 0, "learning_rate"),
        ("human_evaluation.studies.models.models", ["smollm2"], "unknown model 'smollm2'"),
        (
            "human_evaluation.studies.models.annotators",
            115,
            "annotators: 115 are too many for 114 instructions; each annotator needs at least one",
        ),
        ("human_evaluation.studies.dataset.annotators", 141, "141 are too many for 140"),
        ("human_evaluation.studies.dataset.annotators", 140, None),
        (
            "human_evaluation.studies.dataset.annotators",
            0,
            "human_evaluation.studies.dataset: without `annotators`, a study needs a `judge`",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named(
    paper: dict[str, Any], path: str, value: Any, message: str | None
) -> None:
    *parents, last = path.split(".")
    place = paper
    for parent in parents:
        place = place[parent]
    place[last] = value
    if message is None:
        load_settings(paper)
        return
    with pytest.raises(SettingsError) as error:
        load_settings(paper)
    assert message in str(error.value)
    assert (parents or [last])[0] in str(error.value)


INHERITED = ("architecture", "family", "parameters", "tokenizer")


@pytest.mark.parametrize("overlay", [[], ["demo"], ["examples/herd"]])
def test_students_inherit_from_their_initialization(overlay: list[str]) -> None:
    config = _load("config", "sources", "models", "tasks", *overlay)
    settings = load_settings(config)
    students = {n: m for n, m in config["models"].items() if m["role"] == "student"}
    assert not {*INHERITED} & {key for model in students.values() for key in model}
    for model in students.values():
        model |= {key: config["models"][model["initialization"]][key] for key in INHERITED}
    assert load_settings(config) == settings


def test_a_student_may_have_another_family_and_tokenizer(paper: dict[str, Any]) -> None:
    paper["models"]["lamini-t5-61m"] |= {"family": "LaMini", "tokenizer": "gpt2"}
    student = load_settings(paper).models["lamini-t5-61m"]
    assert (student.family, student.tokenizer) == ("LaMini", "gpt2")
    assert (student.architecture, student.parameters) == ("encoder-decoder", 60506624)


def test_parameters_may_be_written_as_on_a_model_card(paper: dict[str, Any]) -> None:
    paper["models"]["t5-small"]["parameters"] = "60.5M"
    paper["models"]["gpt2-xl"]["parameters"] = "1.5 B"
    models = load_settings(paper).models
    assert models["lamini-t5-61m"].parameters == 60_500_000
    assert models["gpt2-xl"].parameters == 1_500_000_000


def test_missing_sections_are_named_in_one_line(paper: dict[str, Any]) -> None:
    for section in ("tasks", "topics"):
        del paper[section]
    with pytest.raises(SettingsError, match=r"\n  topics, tasks: missing$"):
        load_settings(paper)


def test_a_field_that_a_reference_lacks_is_missing_for_it(paper: dict[str, Any]) -> None:
    del paper["models"]["t5-small"]["family"]
    with pytest.raises(SettingsError, match=r"models\.t5-small\.family: missing"):
        load_settings(paper)


def test_checking_leaves_the_given_configuration_as_it_is(paper: dict[str, Any]) -> None:
    before = copy.deepcopy(paper)
    load_settings(paper)
    assert paper == before


def test_a_shard_needs_a_sample(paper: dict[str, Any]) -> None:
    paper["sources"]["alpaca"] |= {"samples": 3, "shards": 4}
    with pytest.raises(SettingsError, match=r"4 shards cannot share 3 samples"):
        load_settings(paper)


def test_every_problem_is_named_at_once(paper: dict[str, Any]) -> None:
    paper["students"] = ["nobody"]
    paper["evaluated_tasks"] = ["nothing"]
    with pytest.raises(SettingsError) as error:
        load_settings(paper)
    assert "nobody" in str(error.value)
    assert "nothing" in str(error.value)


def test_shard_sizes_add_up(paper: dict[str, Any]) -> None:
    source = load_settings(paper).sources["alpaca"].model_copy(update={"samples": 10, "shards": 3})
    assert source.shard_sizes() == [4, 3, 3]


def test_the_schema_and_the_reference_are_in_sync() -> None:
    texts = generated_texts()
    root = Path(__file__).parents[2]
    assert {path: (root / path).read_text("utf-8") for path in (SCHEMA, REFERENCE)} == texts
    definitions = json.loads(texts[SCHEMA])["$defs"]
    undescribed = [n for n, d in definitions.items() if "description" not in d]
    assert not undescribed


def test_the_reference_has_every_setting_with_its_meaning() -> None:
    texts = generated_texts()
    schema = json.loads(texts[SCHEMA])
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", texts[REFERENCE], re.MULTILINE)
    keys = [key for part in [schema, *schema["$defs"].values()] for key in part["properties"]]
    assert sorted(key for key, _ in rows) == sorted(keys)
    assert not [(key, row) for key, row in rows if "" in map(str.strip, row.split(" | "))]
    sections = re.findall(r"^##+ (.+)$", texts[REFERENCE], re.MULTILINE)
    assert len(sections) == len(set(sections)) == len(schema["$defs"])
    expected = {
        "dropout": "number ≥ 0, < 1 | `0.0` | Dropout of the adapter's inputs, in addition to that"
        " of the model.",
        "adam_betas": "list: number ≥ 0, ≤ 1, number ≥ 0, ≤ 1 | `[0.9, 0.999]` | Decay rates of"
        " the first and second moment of AdamW.",
        "ngrams": "list of integer > 1, at least 1 | `[8, 13]` | Values of n, in words, for which"
        " shared n-grams are counted; the search uses the smallest.",
        "cached_prompt": "number ≥ 0 or `null` | `null` | Price of the prompt tokens that the"
        " endpoint took from its cache; null: that of `prompt`. `make plan` counts no tokens as"
        " cached.",
        "prices": "mapping of [`teacher.prices.{name}`](#teacherpricesname) | `{}` | Price of each"
        " model; a budget in dollars needs the price of the configured model.",
        "samples_per_source": "integer > 0 | `20` | For `dataset`: number of rated examples per"
        " source.",
    }
    assert {key: row for key, row in rows if key in expected} == expected


def test_the_snakefile_imports_nothing_heavy() -> None:
    probe = "import lamini.workflow, sys; print([m for m in sys.modules if '.' not in m])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "numpy", "polars", "datasets", "lm_eval", "openai"}
    assert not heavy & set(eval(done.stdout))


def test_a_herd_of_ones_own_is_an_overlay() -> None:
    config = _load("config", "sources", "models", "tasks", "examples/herd")
    settings = load_settings(config)
    assert settings.analysed_mixture == "herd"
    assert settings.evaluation_batches() == {"herd": ["arc_easy", "triviaqa"]}
