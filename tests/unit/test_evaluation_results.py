"""One model on a batch of tasks: result files, and error messages."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
import zstandard
from evaluation_cases import MIRROR, TASKS, gpt2_tokenizer, saved_model, small_model, t5_tokenizer
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest
from score_cases import result

from lamini.errors import LaminiError
from lamini.evaluation import evaluate as module
from lamini.evaluation.data import mirror_path, mirror_task_data
from lamini.evaluation.evaluate import evaluate_model
from lamini.evaluation.models import load_evaluated_model
from lamini.evaluation.results import EvaluationResult, summarize
from lamini.files import write_json
from lamini.jobs.kept_outputs import forget_accepted
from lamini.settings.evaluation import Evaluation
from lamini.settings.params.evaluation import EvaluatedModel, EvaluateModel, MirrorTaskData

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> EvaluatedModel:
    tokenizer = gpt2_tokenizer()
    model = small_model("gpt2", tokenizer, n_positions=1024)
    folder = tmp_path_factory.mktemp("models") / "small"
    return saved_model(folder, model, tokenizer, prompt_format="alpaca")


def _settings(evaluated: EvaluatedModel, tasks: list[str], **evaluation: Any) -> EvaluateModel:
    chosen = Evaluation(**{"protocol": "paper", "mirror": MIRROR, "replicates": 200, **evaluation})
    return EvaluateModel(
        model=evaluated, tasks={name: TASKS[name] for name in tasks}, evaluation=chosen, files=None
    )


def _run(settings: EvaluateModel, folder: str = "results/evals/small") -> dict[str, Any]:
    paths = {name: Path(folder) / f"{name}.json" for name in settings.tasks}
    evaluate_model(evals=list(paths.values()), settings=settings, tokens_per_batch=2048)
    return {name: json.loads(path.read_text()) for name, path in paths.items()}


def test_a_result_names_its_model_data_and_settings(evaluated: EvaluatedModel) -> None:
    settings = _settings(evaluated, ["rte", "record"], samples=True)
    results = _run(settings)
    result = results["rte"]
    assert (result["model"], result["task"], result["metric"]) == ("small", "rte", "acc")
    assert result["score"] == pytest.approx(100 * np.mean(result["values"]))
    assert result["interval"] == _wilson(round(sum(result["values"])), 12)
    assert (result["examples"], result["examples_published"]) == (12, 277)
    assert result["data"]["source"] == "mirror"
    assert result["data"]["rows"] == 12
    assert (result["protocol"], result["prompt_format"]) == ("paper", "alpaca")
    assert result["truncated"] == 0
    assert len(result["model_manifest_sha256"]) == 64
    record = results["record"]
    assert record["score"] == pytest.approx(100 * np.mean(record["values"]), abs=1e-4)
    text = json.dumps(result)
    assert str(Path.cwd()) not in text
    packed = Path("results/evals/small/rte.samples.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    samples = [orjson.loads(line) for line in lines.splitlines()]
    assert len(samples) == 12
    assert samples[0]["sent"][0]["context"].startswith("Below is an instruction")
    assert samples[0]["sent"][0]["context"].endswith("### Response:")
    assert [sample["acc"] for sample in samples] == result["values"]
    again = _run(settings, "results/evals/again")
    assert again["rte"] == result
    assert (
        Path("results/evals/again/rte.json").read_bytes()
        == Path("results/evals/small/rte.json").read_bytes()
    )


def test_a_stopped_job_resumes_after_its_last_finished_task(
    evaluated: EvaluatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, computed = _settings(evaluated, ["rte", "wic", "sst2"], samples=True), []
    right = module.run_task

    def stopping(model: Any, name: str, *others: Any) -> Any:
        if name == "sst2" and computed == ["rte", "wic"]:
            computed.append("stopped")
            raise KeyboardInterrupt
        computed.append(name)
        return right(model, name, *others)

    monkeypatch.setattr(module, "run_task", stopping)
    with pytest.raises(KeyboardInterrupt):
        _run(settings)
    evals = Path("results/evals")
    for declared in (evals / "small").glob("*.*"):  # as Snakemake removes a failed job's outputs
        declared.unlink()
    results = _run(settings)
    assert computed == ["rte", "wic", "stopped", "sst2"]
    assert results == _run(settings, "results/evals/at_once")
    for task in settings.tasks:
        name = f"{task}.samples.jsonl.zst"
        assert (evals / "small" / name).read_bytes() == (evals / "at_once" / name).read_bytes()


def test_a_finished_job_whose_outputs_are_removed_computes_nothing(
    evaluated: EvaluatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(evaluated, ["rte"], samples=True)
    results = _run(settings)
    for declared in Path("results/evals/small").glob("*.*"):  # as an interrupted Snakemake does
        declared.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(module, "load_evaluated_model", None)
        assert _run(settings) == results
    kept = {f"results/evals/small/work/rte{end}" for end in (".json", ".samples.jsonl.zst")}
    assert set(map(str, forget_accepted("results"))) == kept
    assert not any(Path(path).exists() for path in kept)


def test_other_settings_reuse_no_result(evaluated: EvaluatedModel) -> None:
    Path("results/evals/small/work").mkdir(parents=True)
    kept = {"made_from": "others", "result": {"score": -1}}
    Path("results/evals/small/work/rte.json").write_text(json.dumps(kept))
    result = _run(_settings(evaluated, ["rte"]))["rte"]
    assert result["score"] == pytest.approx(100 * np.mean(result["values"]), abs=1e-4)


def test_results_of_other_code_are_reused_only_if_it_was_accepted(
    evaluated: EvaluatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(evaluated, ["rte"])
    write_json("results/code.json", {"evaluate_model": {"code": "old"}})
    results = _run(settings)
    monkeypatch.setattr(module, "load_evaluated_model", None)
    write_json("results/code.json", {"evaluate_model": {"code": "old", "accepted": ["new"]}})
    assert _run(settings) == results
    write_json("results/code.json", {"evaluate_model": {"code": "new"}})
    with pytest.raises(TypeError):
        _run(settings)


def test_only_the_first_examples_when_limited(
    evaluated: EvaluatedModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="lamini"):
        assert _run(_settings(evaluated, ["piqa"], limit=5))["piqa"]["examples"] == 5
        _run(_settings(evaluated, ["rte"], limit=500), "results/evals/all")
    assert "piqa: 5 examples" in caplog.text
    assert "rte: 12 examples" in caplog.text


def test_changed_weights_of_a_folder_are_noticed(evaluated: EvaluatedModel, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(evaluated.path, folder, ignore=shutil.ignore_patterns("manifest.json"))
    settings = _settings(evaluated.model_copy(update={"path": str(folder)}), ["piqa"])
    first = _run(settings)["piqa"]
    work = Path("results/evals/small/work/piqa.json")
    written = work.stat().st_mtime_ns
    assert _run(settings)["piqa"] == first
    assert work.stat().st_mtime_ns == written, "the result is reused, because the weights are equal"
    weights = load_file(folder / "model.safetensors")
    other = {key: value.flip(0).contiguous() for key, value in weights.items()}
    save_file(other, folder / "model.safetensors", {"format": "pt"})
    assert _run(settings)["piqa"]["score"] != first["score"]


def _damaged(task: str, change: Any) -> str:
    """A mirror whose second row of one task is damaged."""
    shutil.rmtree("mirror", ignore_errors=True)
    source = Path(MIRROR) / mirror_path(TASKS[task].data)
    target = Path("mirror") / mirror_path(TASKS[task].data)
    target.parent.mkdir(parents=True)
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    change(rows)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "mirror"


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("rte", lambda rows: rows[1].pop("sentence2"), r"validation\.jsonl: row 2 has no column"),
        ("rte", lambda rows: [row.pop("label") for row in rows], r"needs the column 'label'|label"),
        ("rte", lambda rows: rows[1].update(label=2), r"row 2 of task rte has label 2, but 2 choi"),
        ("rte", lambda rows: rows[1].update(label=-1), r"row 2 of task rte has label -1"),
        (
            "hellaswag",
            lambda rows: rows[1].update(endings=[]),
            r"row 2 of task hellaswag has no choices",
        ),
        ("piqa", lambda rows: rows.clear(), r"validation\.jsonl: has no examples"),
        (
            "winogrande",
            lambda rows: rows[1].update(answer="3"),
            r"row 2 of task winogrande does not fit \(KeyError",
        ),
    ],
)
def test_damaged_examples_are_named_before_a_model_is_loaded(
    task: str, change: Any, message: str
) -> None:
    nowhere = EvaluatedModel(
        model="x", architecture="decoder-only", prompt_format=None, path="nowhere", revision=None
    )
    with pytest.raises(LaminiError, match=message):
        _run(_settings(nowhere, [task], mirror=_damaged(task, change)))


def test_other_data_than_agreed_is_refused(evaluated: EvaluatedModel) -> None:
    settings, rte = _settings(evaluated, ["rte"]), TASKS["rte"]

    def agreed(sha256: str) -> EvaluateModel:
        data = rte.data.model_copy(update={"sha256": sha256})
        return settings.model_copy(update={"tasks": {"rte": rte.model_copy(update={"data": data})}})

    found = _run(settings)["rte"]["data"]["sha256"]
    _run(agreed(found), "results/evals/same")
    with pytest.raises(LaminiError, match="have the SHA-256"):
        _run(agreed("0" * 64), "results/evals/other")


def test_without_a_hub_the_error_names_the_remedy(
    evaluated: EvaluatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LaminiError, match="snakemake task_data"):
        _run(_settings(evaluated, ["rte"], mirror=None))
    with pytest.raises(LaminiError, match="snakemake task_data"):
        mirror_task_data(
            examples="out.jsonl", settings=MirrorTaskData(**TASKS["rte"].data.as_params())
        )


def test_the_benchmark_of_the_start_replaces_only_what_ends_it() -> None:
    text = (Path(__file__).parents[2] / "benchmarks/bench_evaluation.py").read_text()
    program = text.partition('START = """')[2].partition('"""')[0]
    assert re.findall(r"^(\S+) = (?!EvaluateModel)", program, re.MULTILINE) == ["evaluate.run_task"]
    assert callable(module.run_task)


def test_unusable_models_are_refused_with_the_remedy(
    evaluated: EvaluatedModel, tmp_path: Path
) -> None:
    with pytest.raises(LaminiError, match=r"weights\.folder"):
        load_evaluated_model(evaluated.model_copy(update={"path": "nowhere/at-all"}), "fp32", CPU)
    with pytest.raises(LaminiError, match="architecture is encoder-decoder, but"):
        load_evaluated_model(
            evaluated.model_copy(update={"architecture": "encoder-decoder"}), "fp32", CPU
        )
    half = tmp_path / "half"
    shutil.copytree(evaluated.path, half)
    weights = half / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(
        LaminiError, match=r"model\.safetensors: SHA-256 \w+, but its manifest says"
    ):
        load_evaluated_model(evaluated.model_copy(update={"path": str(half)}), "fp32", CPU)
    weights.write_bytes(whole[:1000])
    with pytest.raises(LaminiError, match=r"model\.safetensors: 1000 bytes, but its manifest says"):
        load_evaluated_model(evaluated.model_copy(update={"path": str(half)}), "fp32", CPU)
    (half / "manifest.json").unlink()
    with pytest.raises(LaminiError, match="can't be loaded"):
        load_evaluated_model(evaluated.model_copy(update={"path": str(half)}), "fp32", CPU)
    kept = load_file(Path(evaluated.path) / "model.safetensors")
    save_file({k: v for k, v in kept.items() if "h.1." not in k}, weights, {"format": "pt"})
    with pytest.raises(LaminiError, match="lacks 12 weights of a gpt2"):
        load_evaluated_model(evaluated.model_copy(update={"path": str(half)}), "fp32", CPU)
    bare = tmp_path / "bare"
    shutil.copytree(evaluated.path, bare, ignore=shutil.ignore_patterns("tokenizer*", "manifest*"))
    with pytest.raises(LaminiError, match="tokenizer"):
        load_evaluated_model(evaluated.model_copy(update={"path": str(bare)}), "fp32", CPU)


def test_weights_that_are_no_numbers_end_the_evaluation(tmp_path: Path) -> None:
    tokenizer = gpt2_tokenizer()
    model = small_model("gpt2", tokenizer, n_positions=1024)
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(float("nan"))
    broken = saved_model(tmp_path / "broken", model, tokenizer)
    with pytest.raises(LaminiError, match=r"small: .* log-likelihoods that are not finite"):
        _run(_settings(broken, ["rte"]))


def test_encoder_decoders_are_evaluated_too(tmp_path: Path) -> None:
    tokenizer = t5_tokenizer(tmp_path / "tokenizer")
    t5 = saved_model(tmp_path / "t5", small_model("t5", tokenizer), tokenizer)
    results = _run(_settings(t5, ["rte", "winogrande"]))
    assert results["winogrande"]["examples"] == 12


def test_a_result_is_read_by_its_class(evaluated: EvaluatedModel) -> None:
    """Same bytes when it is written again; a result of version 0.1.0 has no `unscorable`."""
    _run(_settings(evaluated, ["rte", "record"]))
    for task in ("rte", "record"):
        path = Path(f"results/evals/small/{task}.json")
        EvaluationResult.read(path).write("again.json")
        assert Path("again.json").read_bytes() == path.read_bytes()
    facts = json.loads(Path("again.json").read_text())
    write_json("old.json", {key: value for key, value in facts.items() if key != "unscorable"})
    EvaluationResult.read("old.json").write("again.json")
    assert Path("again.json").read_bytes() == Path("old.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"interval": [1.0]}, r"interval\.1"),
        ({"data": {}}, r"data\.source"),
        ({"score": "-"}, "score"),
    ],
)
def test_a_result_that_is_damaged_is_named(changes: dict[str, Any], place: str) -> None:
    facts = result("m", "rte", score=1.0, examples=9).as_json()
    write_json("rte.json", facts | changes)
    with pytest.raises(LaminiError, match=rf"^rte\.json: {place}: .*: delete it and run"):
        EvaluationResult.read("rte.json")


def test_a_protocol_that_is_left_open_is_refused(evaluated: EvaluatedModel) -> None:
    with pytest.raises(ValueError, match="`paper` or `modern`"):
        _run(_settings(evaluated, ["rte"], protocol="auto"))


def _wilson(right: int, count: int) -> list[float]:
    ends = binomtest(right, count).proportion_ci(method="wilson")
    return [pytest.approx(100 * end, abs=1e-4) for end in (ends.low, ends.high)]


@pytest.mark.parametrize(("right", "count"), [(8, 8), (0, 12), (1, 1), (1, 3), (5021, 10042)])
def test_right_or_wrong_has_wilsons_interval(right: int, count: int) -> None:
    summary = summarize([1.0] * right + [0.0] * (count - right), 100, 1)
    assert summary["score"] == round(100 * right / count, 4)
    assert summary["interval"] == tuple(_wilson(right, count))
    low, high = summary["interval"]  # type: ignore[misc]
    assert high - low > 1, "the interval has a width, even if all examples are correct"


def test_the_standard_error_is_that_of_a_mean() -> None:
    assert summarize([1, 0, 1, 1], 100, 1)["standard_error"] == 25.0
    for equal in ([1.0] * 8, [0.0] * 12, [0.5] * 3, [0.25]):
        assert summarize(equal, 100, 1)["standard_error"] is None


def test_graded_values_are_resampled() -> None:
    # Two values give three means, the outer ones of a probability of a quarter each.
    assert summarize([0.5, 0.25], 500, 1)["interval"] == (25.0, 50.0)
    values = np.random.default_rng(0).random(1000)
    summary = summarize(values.tolist(), 4000, 1)
    half = 1.959964 * values.std(ddof=1) / np.sqrt(1000)
    ends = [100 * (values.mean() - half), 100 * (values.mean() + half)]
    assert summary["interval"] == pytest.approx(ends, abs=0.1)
    assert summary == summarize(values.tolist(), 4000, 1)


def test_the_bootstrap_draws_each_distinct_value_by_its_share() -> None:
    draws = np.random.default_rng(3).multinomial(4, [0.25, 0.5, 0.25], size=200)
    low, high = np.quantile(draws @ [0.125, 0.5, 1.0] / 4, [0.025, 0.975])
    found = summarize([0.5, 1.0, 0.125, 0.5], 200, 3)["interval"]
    assert found == (round(100 * low, 4), round(100 * high, 4))


def test_equal_graded_values_have_no_interval() -> None:
    for equal in ([0.5], [0.5, 0.5, 0.5]):
        assert summarize(equal, 100, 1)["interval"] is None


def test_intervals_have_their_nominal_coverage() -> None:
    generator, covered = np.random.default_rng(0), {"right or wrong": 0, "graded": 0}
    for number in range(200):
        drawn = generator.random(150)
        for kind, values in (("right or wrong", (drawn < 0.5).astype(float)), ("graded", drawn)):
            low, high = summarize(values.tolist(), 300, number)["interval"]  # type: ignore[misc]
            covered[kind] += low <= 50 <= high
    # Of 200 intervals 190 should; fewer than 181, or all of them, are rarer than 1 in 250 each.
    assert min(covered.values()) >= 181 and max(covered.values()) < 200
