"""Unusual rows, and tasks outside the paper: counted, or refused with their name."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import zstandard
from evaluation_cases import SCIQ, TASKS, gpt2_tokenizer, saved_model, small_model, t5_tokenizer
from lm_eval import evaluate
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing

from lamini.errors import LaminiError
from lamini.evaluation.data import mirror_path
from lamini.evaluation.evaluate import evaluate_model
from lamini.evaluation.models import manifest_sha256, model_identity
from lamini.evaluation.requests import RequestEncoder
from lamini.evaluation.tasks import build_task
from lamini.settings.evaluation import Evaluation, Task
from lamini.settings.params.evaluation import EvaluatedModel, EvaluateModel

BLANK = "\u00a0"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    t5 = t5_tokenizer(tmp_path_factory.mktemp("t5") / "made")
    gpt2 = gpt2_tokenizer()
    return {
        "gpt2": (small_model("gpt2", gpt2, n_positions=128), gpt2),
        "t5": (small_model("t5", t5), t5),
    }


def _mirror(task: Task, rows: list[dict[str, Any]]) -> None:
    path = Path("mirror") / mirror_path(task.data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _evaluate(
    model: tuple[Any, Any], name: str, rows: list[dict[str, Any]], task: Task | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of one task on these rows, and its samples."""
    task = task or TASKS[name]
    _mirror(task, rows)
    evaluation = Evaluation(mirror="mirror", protocol="modern", samples=True, replicates=100)
    settings = EvaluateModel(
        model=saved_model(Path("models") / name, *model),
        tasks={name: task},
        evaluation=evaluation,
        files=None,
    )
    evaluate_model(evals=[f"results/evals/m/{name}.json"], settings=settings)
    packed = Path(f"results/evals/m/{name}.samples.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()
    result = json.loads(Path(f"results/evals/m/{name}.json").read_text())
    return result, [orjson.loads(line) for line in lines]


def test_a_blank_choice_is_scored_as_stock_does(
    models: dict[str, tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [SCIQ, SCIQ | {"distractor2": BLANK}, SCIQ | {"distractor1": ""}]
    with caplog.at_level("WARNING", logger="lamini"):
        result, samples = _evaluate(models["gpt2"], "sciq", rows)
    assert result["unscorable"] == 0
    assert "2 rows of task sciq have a blank choice (first: row 2)" in caplog.text
    model, tokenizer = models["gpt2"]
    stock = HFLM(model, tokenizer=tokenizer, max_length=128)
    task, _ = build_task("sciq", TASKS["sciq"], "modern", "mirror")
    with np.errstate(divide="ignore"):
        measured = evaluate(stock, {"tasks": {"sciq": task}}, bootstrap_iters=0)
    assert measured is not None
    expected = measured["samples"]["sciq"]
    assert result["values"] == [sample["acc"] for sample in expected]
    for sample, one in zip(samples, expected, strict=True):
        theirs = [answer[0] for answer in one["filtered_resps"]]
        assert [answer[0] for answer in sample["answers"]] == pytest.approx(theirs, abs=1e-3)


def test_texts_without_tokens_are_least_likely_and_counted(
    models: dict[str, tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """The choices: three wrong ones, then the right one."""
    wrong = {f"distractor{number}": BLANK for number in (1, 2, 3)}
    rows = [
        SCIQ,
        SCIQ | wrong,  # the right one is all that is left
        SCIQ | {"correct_answer": BLANK},  # can't be chosen
        SCIQ | wrong | {"correct_answer": BLANK},  # nothing to choose from
    ]
    with caplog.at_level("WARNING", logger="lamini"):
        result, samples = _evaluate(models["t5"], "sciq", rows)
    assert result["examples"] == 4
    assert result["unscorable"] == 3 + 1 + 4
    assert result["values"][1:] == [1, 0, 0]
    named = ", ".join(f"row {row} (has no tokens)" for row in (2, 2, 2, 3, 4))
    assert (
        f"sciq: 8 texts can't be scored, and count as the least likely: {named} ..." in caplog.text
    )
    assert [answer[0] for answer in samples[1]["answers"]][:3] == [None] * 3
    assert samples[1]["answers"][3][0] < 0


def test_without_scorable_choices_no_answer_is_correct(
    models: dict[str, tuple[Any, Any]],
) -> None:
    data = {"repo": "a/b", "split": "validation"}
    task = Task.model_validate(
        {"name": "x", "category": "c", "metric": "acc", "examples": 2, "data": data}
    )
    rows = [{"goal": "Boil water", "sol1": BLANK, "sol2": BLANK, "label": 0}] * 2
    result, _ = _evaluate(models["t5"], "piqa", rows, task)
    assert result["values"] == [0, 0]
    assert result["score"] == 0


def test_a_continuation_longer_than_the_model_is_the_least_likely(
    models: dict[str, tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"goal": "Boil water", "sol1": "a pot", "sol2": "so " * 200, "label": 0}] * 2
    with caplog.at_level("WARNING", logger="lamini"):
        result, _ = _evaluate(models["gpt2"], "piqa", rows)
    assert (result["unscorable"], result["values"]) == (2, [1, 1])
    assert "piqa: 2 texts can't be scored" in caplog.text
    assert "least likely: row 1 (201 tokens leave no room for a context in" in caplog.text


def test_lengths_that_just_fit_are_scored(models: dict[str, tuple[Any, Any]]) -> None:
    for kind, longest in (("decoder-only", 64), ("encoder-decoder", 64)):
        tokenizer = models["gpt2" if kind == "decoder-only" else "t5"][1]
        encoder = RequestEncoder(tokenizer, kind, "modern", None, longest, 0)
        texts = [("one", " a" * count) for count in (longest, longest + 1)]
        fits, not_ = encoder.encode(texts)
        assert not_ is None
        assert fits is not None
        assert len(fits.continuation) == longest
        assert list(encoder.unscorable) == [texts[1]]


def test_a_metric_without_a_value_for_what_cannot_be_scored_says_so(
    models: dict[str, tuple[Any, Any]],
) -> None:
    task = Task.model_validate(
        {
            "name": "x",
            "category": "c",
            "metric": "perplexity",
            "examples": 1,
            "data": {"repo": "a/b", "split": "test"},
        }
    )
    rows = [{"text": "the sea is blue"}, {"text": "so " * 3 + "a" * 900}]
    with pytest.raises(LaminiError, match=r"perplexity has no value for row 2: one of .* acc"):
        _evaluate(models["gpt2"], "lambada_openai", rows, task)


def test_samples_of_a_task_that_measures_in_numpy_are_written(
    models: dict[str, tuple[Any, Any]],
) -> None:
    task = Task.model_validate(
        {
            "name": "GSM8K",
            "category": "c",
            "metric": "exact_match",
            "examples": 2,
            "data": {"repo": "openai/gsm8k", "config": "main", "split": "test"},
        }
    )
    rows = [{"question": f"What is {n} and {n}?", "answer": f"So. #### {2 * n}"} for n in (1, 2)]
    short = small_model("gpt2", models["gpt2"][1], n_positions=512)
    result, samples = _evaluate((short, models["gpt2"][1]), "gsm8k", rows, task)
    assert result["values"] == [0, 0] == [sample["exact_match"] for sample in samples]
    assert result["way"] == "padded"


def _task(name: str) -> None:
    build_task(name, TASKS["sciq"], "modern", "mirror")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ifeval", r"tasks\.ifeval: .*needs the Python package \w+, .*pip install"),
        ("squadv2", r"tasks\.squadv2: in lm-eval this task is a Python class"),
        ("wikitext", r"tasks\.wikitext: it measures the perplexity of whole texts"),
    ],
)
def test_other_kinds_of_tasks_are_refused_by_name(name: str, message: str) -> None:
    _mirror(TASKS["sciq"], [SCIQ])
    with pytest.raises(LaminiError, match=message):
        _task(name)


@pytest.mark.slow
def test_groups_of_tasks_are_refused_with_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    import lm_eval.tasks

    index = lm_eval.tasks.TaskManager()
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", lambda: index)
    group = "in lm-eval this is a group of tasks with several data sets; name them and"
    for name, member in (("mmlu", "mmlu_stem"), ("glue", "cola")):
        with pytest.raises(LaminiError, match=rf"tasks\.{name}: {group} .*{member}"):
            _task(name)
    with pytest.raises(LaminiError, match=r"tasks\.no_such: the pinned lm-eval has no task of"):
        _task("no_such")


def test_a_definition_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.tasks import _yaml_loader

    def failing(*_: Any) -> None:
        raise LookupError("punkt is missing")

    monkeypatch.setattr(_yaml_loader, "load_yaml", failing)
    with pytest.raises(LaminiError, match=r"tasks\.sciq: lm-eval can't load .*LookupError: punkt"):
        _task("sciq")


def test_a_package_that_is_missed_in_the_middle_is_named(
    models: dict[str, tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def needing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'antlr4'", name="antlr4")

    monkeypatch.setattr("lm_eval.evaluate", needing)
    with pytest.raises(LaminiError, match=r"tasks\.sciq: .*package antlr4"):
        _evaluate(models["gpt2"], "sciq", [SCIQ])


def test_what_a_model_is_made_of(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    evaluated = EvaluatedModel(
        model="own",
        architecture="decoder-only",
        prompt_format=None,
        path=str(folder),
        revision=None,
    )
    (folder / "model.safetensors").write_bytes(b"one")
    before = model_identity(evaluated)
    assert model_identity(evaluated) == before
    (folder / "model.safetensors").write_bytes(b"two")
    assert model_identity(evaluated) != before
    (folder / "manifest.json").write_text("{}")
    assert model_identity(evaluated) == manifest_sha256(evaluated)
    assert model_identity(evaluated.model_copy(update={"path": "no/where"})) is None


def test_a_context_that_just_fits_is_not_cut() -> None:
    """A decoder-only model reads context and continuation but for the last token."""
    tokenizer = gpt2_tokenizer()
    pair = ("one two three four five", " six seven")
    for protocol in ("paper", "modern"):
        for max_tokens, cut in ((6, 0), (5, 1)):
            encoder = RequestEncoder(tokenizer, "decoder-only", protocol, None, max_tokens, 0)
            (request,) = encoder.encode([pair])
            assert request is not None
            assert len(request.context) == 5 - cut
            assert encoder.truncated == cut


def test_a_continuation_without_context_has_no_special_tokens() -> None:
    tokenizer = copy.deepcopy(gpt2_tokenizer())  # other tests use the same object
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    bos = tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bos)]
    )
    assert tokenizer("six")["input_ids"][0] == bos
    encoder = RequestEncoder(tokenizer, "decoder-only", "modern", None, 64, 7)
    alone, after = encoder.encode([("", "six seven"), ("five", " six seven")])
    assert alone is not None and after is not None
    assert alone.context.tolist() == [7]
    assert (
        alone.continuation.tolist() == tokenizer("six seven", add_special_tokens=False)["input_ids"]
    )
    assert after.context[0] == bos
