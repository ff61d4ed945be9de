"""Evaluation of one model on a batch of tasks; each finished task's result is written at once."""

import logging
import math
import numbers
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import zstandard

from lamini.errors import LaminiError
from lamini.evaluation.data import DataFacts
from lamini.evaluation.lm_eval_files import (
    group_of,
    write_lm_eval_results,
    write_lm_eval_samples,
)
from lamini.evaluation.measured import Measured, Sample, metric_values
from lamini.evaluation.models import (
    choose_device,
    load_model,
    manifest_sha256,
    model_identity,
    prompt_format_of,
)
from lamini.evaluation.results import EvaluationResult, MetricResult, PartResult, summarize
from lamini.evaluation.tasks import build_tasks, check_tasks, missing_package
from lamini.files import (
    atomic_writer,
    copy_file,
    derive_seed,
    read_json,
    stable_hash,
    write_json,
)
from lamini.jobs.provenance import package_versions
from lamini.jobs.unfinished import work_key
from lamini.settings.evaluation import Evaluation
from lamini.settings.params import EvaluatedModel, EvaluateModel
from lamini.students.numerics import Precision, choose_precision

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

logger = logging.getLogger("lamini")
_MAX_NAMED_ROWS = 5
"""Maximum number of rows that a warning names."""
_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


def evaluate_model(
    *,
    evals: Sequence[str | Path],
    settings: EvaluateModel,
    tokens_per_batch: int | None = None,
) -> None:
    """Evaluate one model on a batch of tasks.

    The examples of all tasks are read and checked before the model is loaded. Results of finished
    tasks are kept in `work/`. If Snakemake discards the outputs of this run, the next run reuses
    them.

    Args:
        evals: JSON files to write (`EvaluationResult`), one per task, in the order of the tasks.
        settings: the rule's params.
        tokens_per_batch: padded tokens computed at once; null: measured on a GPU.

    Raises:
        LaminiError: names the invalid file, row or model.
        ValueError: if the protocol is still `auto`.
    """
    evaluated, tasks = settings.model, settings.tasks
    if settings.evaluation.protocol == "auto":
        raise ValueError("protocol must be `paper` or `modern` here, not `auto`")
    speed = {"tokens_per_batch": tokens_per_batch} if tokens_per_batch else {}
    evaluation = settings.evaluation.model_copy(update=speed)
    outputs = dict(zip(tasks, map(Path, evals), strict=True))
    made_from = work_key("evaluate_model", settings.as_params(), model_identity(evaluated))
    pending: dict[str, tuple[dict[str, ConfigurableTask], DataFacts]] = {}
    for name, output in outputs.items():
        if _is_finished(output, made_from):
            logger.info("%s: finished by an earlier run", name)
            continue
        pending[name] = build_tasks(name, tasks[name], evaluation.protocol, evaluation.mirror)
        check_tasks(pending[name][0], tasks[name], evaluation.mirror, evaluation.limit)
    if pending:
        loaded = language_model(evaluated, evaluation)
        for name, (built, facts) in pending.items():
            result, samples, measured = run_task(loaded, name, built, facts, settings)
            if evaluation.samples:
                _write_samples(_work_file(_samples_file(outputs[name])), samples)
            if evaluation.lm_eval_files:
                results_file, samples_file = map(_work_file, _lm_eval_files(outputs[name]))
                write_lm_eval_results(results_file, measured, evaluated.model)
                write_lm_eval_samples(samples_file, measured)
            _save_finished(outputs[name], result, made_from)
    for output in outputs.values():
        extra = [_samples_file(output)] if evaluation.samples else []
        if evaluation.lm_eval_files:
            extra += _lm_eval_files(output)
        for file in extra:
            copy_file(_work_file(file), file)
        write_json(output, read_json(_work_file(output))["result"])


def language_model(evaluated: EvaluatedModel, evaluation: Evaluation) -> Any:
    """Load a model as lm-eval's model (`harness.LaminiLM`)."""
    from lamini.evaluation.harness import LaminiLM

    model, tokenizer = load_model(evaluated, _precision(evaluation), choose_device(), evaluation)
    return LaminiLM(
        model,
        tokenizer=tokenizer,
        prompt_format=prompt_format_of(tokenizer, evaluated),
        protocol=evaluation.protocol,
        max_encoder_tokens=evaluation.max_encoder_tokens,
        tokens_per_batch=evaluation.tokens_per_batch,
        name=evaluated.model,
    )


def run_task(
    language_model: Any,
    name: str,
    tasks: Mapping[str, "ConfigurableTask"],
    facts: DataFacts,
    settings: EvaluateModel,
) -> tuple[EvaluationResult, list[dict[str, object]], Measured]:
    """Evaluate one task, or the tasks of a group.

    Args:
        language_model: the model (`language_model`).
        name: key of the task.
        tasks: the tasks of lm-eval (`tasks.build_tasks`).
        facts: facts of their data.
        settings: the rule's params.

    Returns:
        The result; for each example the texts sent and the answers; and what lm-eval returned.
    """
    import lm_eval

    evaluated, evaluation, wanted = settings.model, settings.evaluation, settings.tasks[name]
    metric, chat = wanted.metric, evaluated.chat
    counts = [min(len(t.eval_docs), evaluation.limit or sys.maxsize) for t in tasks.values()]
    logger.info("%s: %d examples", name, sum(counts))
    before = language_model.encoder.truncated
    metrics = [metric, *wanted.other_metrics]
    try:
        with np.errstate(divide="ignore", invalid="ignore"):  # a blank choice has length 0
            measured: Measured = lm_eval.evaluate(
                language_model,
                {"tasks": tasks, "groups": group_of(name, tasks, metrics)},
                limit=evaluation.limit,
                bootstrap_iters=evaluation.replicates if evaluation.lm_eval_files else 0,
                system_instruction=chat.system if chat else None,
                apply_chat_template=chat is not None,
                fewshot_as_multiturn=chat is not None and wanted.fewshot_as_multiturn,
            )
    except ImportError as error:
        raise missing_package(name, error) from error
    samples = _of_filter(name, measured["samples"], metric)
    sent = [
        [language_model.encoder.texts(*arguments[:2]) for arguments in sample["arguments"]]
        for sample in samples
    ]
    reasons: list[list[str | None]] = [[] for _ in samples]
    first = next(iter(tasks.values()))
    if first.OUTPUT_TYPE != "generate_until":
        unscorable = language_model.encoder.unscorable
        reasons = [[unscorable.get(texts) for texts in of_example] for of_example in sent]
        _check_likelihoods(name, samples, reasons)
    values = _values(name, samples, metric, reasons)
    unscored = [
        f"row {sample['doc_id'] + 1} ({reason})"
        for sample, of_example in zip(samples, reasons, strict=True)
        for reason in of_example
        if reason is not None
    ]
    if unscored:
        logger.warning(
            "%s: %d texts can't be scored, and count as the least likely: %s%s",
            name,
            len(unscored),
            ", ".join(unscored[:_MAX_NAMED_ROWS]),
            " ..." if len(unscored) > _MAX_NAMED_ROWS else "",
        )
    truncated = language_model.encoder.truncated - before
    if truncated:
        logger.warning("%s: the context of %d requests was truncated at its start", name, truncated)
    seed = derive_seed("evaluate_model", name)
    versions = package_versions()
    more: dict[str, Any] = {}
    if wanted.num_fewshot:
        more["num_fewshot"] = wanted.num_fewshot
    if wanted.other_metrics:
        more["other_metrics"] = {
            other: _metric_result(
                _values(name, _of_filter(name, measured["samples"], other), other, reasons),
                evaluation.replicates,
                seed,
            )
            for other in wanted.other_metrics
        }
    if wanted.data.configs is not None:
        more["parts"] = _parts(tasks, counts, values)
    result = EvaluationResult(
        model=evaluated.model,
        task=name,
        metric=metric,
        **summarize(values, evaluation.replicates, seed),
        examples=len(values),
        examples_published=settings.tasks[name].examples,
        task_version=first.VERSION,
        requests_hash=stable_hash(sent),
        truncated=truncated,
        unscorable=len(unscored),
        **language_model.layout(),
        values=[round(value, 6) for value in values],
        data=facts,
        protocol=evaluation.protocol,
        precision=_precision(evaluation),
        prompt_format=evaluated.prompt_format,
        model_path=evaluated.path,
        model_revision=evaluated.revision,
        model_manifest_sha256=manifest_sha256(evaluated),
        packages={name: versions[name] for name in ("lm_eval", "torch", "transformers")},
        **more,
    )
    kept = [_sample(s, t, metric) for s, t in zip(samples, sent, strict=True)]
    return result, kept, measured


def _precision(evaluation: Evaluation) -> Precision:
    return choose_precision(evaluation.precision, choose_device(), before_ampere="fp32")


def _of_filter(name: str, samples: Mapping[str, Sequence[Sample]], metric: str) -> list[Sample]:
    """Samples in the order of the tasks and their examples, of the filter that a metric names.

    If a task has several lm-eval filters and the metric names none, those of the first are kept.

    Raises:
        LaminiError: if the task has no filter of this name.
    """
    kept: list[Sample] = []
    for of_task in samples.values():
        filters = list(dict.fromkeys(sample["filter"] for sample in of_task))
        wanted = metric.partition(",")[2] or filters[0]
        if wanted not in filters:
            raise LaminiError(
                f"tasks.{name}: metric {metric}: the task has no filter {wanted}; it has"
                f" {', '.join(filters)}"
            )
        mine = (sample for sample in of_task if sample["filter"] == wanted)
        kept += sorted(mine, key=lambda sample: sample["doc_id"])
    return kept


def _metric_result(values: list[float], replicates: int, seed: int) -> MetricResult:
    rounded = [round(value, 6) for value in values]
    return MetricResult(**summarize(values, replicates, seed), values=rounded)


def _parts(
    tasks: Mapping[str, "ConfigurableTask"], counts: Sequence[int], values: Sequence[float]
) -> dict[str, PartResult]:
    """Score of each task of a group, times 100."""
    ends = np.cumsum(counts)
    starts = ends - np.array(counts)
    return {
        task: PartResult(examples=end - start, score=round(100 * mean(values[start:end]), 4))
        for task, start, end in zip(tasks, starts, ends, strict=True)
    }


def _check_likelihoods(name: str, samples: list[Sample], reasons: list[list[str | None]]) -> None:
    """Refuse a log-likelihood that is not finite although its text can be scored."""
    for sample, of_example in zip(samples, reasons, strict=True):
        for (likelihood, _), reason in zip(sample["filtered_resps"], of_example, strict=True):
            if reason is None and not math.isfinite(likelihood):
                raise LaminiError(
                    f"{name}: the log-likelihood of example {sample['doc_id']} is not finite;"
                    " the model's weights are damaged, or the range of its precision is too small"
                    " (set `evaluation.precision: fp32`)"
                )


def _values(
    name: str, samples: Sequence[Sample], metric: str, reasons: Sequence[list[str | None]]
) -> list[float]:
    """Metric of each example."""
    measured = metric.partition(",")[0]
    return [
        _value(name, sample, measured, of_example)
        for sample, of_example in zip(samples, reasons, strict=True)
    ]


def _value(name: str, sample: Sample, metric: str, reasons: list[str | None]) -> float:
    """Metric of one example; 0 if its unscorable texts leave no choices to compare.

    Raises:
        LaminiError: if the task does not measure the metric per example.
    """
    values = metric_values(sample)
    if metric not in values:
        raise LaminiError(
            f"tasks.{name}.metric: the task does not measure {metric}; it has"
            f" {', '.join(sample['metrics'])}"
        )
    value = values[metric]
    if not isinstance(value, numbers.Real | np.bool_):
        raise LaminiError(
            f"tasks.{name}.metric: {metric} has no value per example, unlike accuracy;"
            f" the task has {', '.join(sample['metrics'])}"
        )
    found = [reason for reason in reasons if reason is not None]
    if not found:
        return float(value)
    if not math.isfinite(value):
        raise LaminiError(
            f"tasks.{name}.metric: {metric} has no value for row {sample['doc_id'] + 1}: one of its"
            f" texts can't be scored ({found[0]}); use another metric, for example acc"
        )
    # Mutual information also needs the likelihood of the choice alone, which can't be scored.
    nothing = len(found) == len(reasons) or metric == "acc_mutual_info"
    return 0.0 if nothing else float(value)


def _sample(sample: Sample, sent: list[tuple[str, str]], metric: str) -> dict[str, object]:
    return {
        "example": sample["doc_id"],
        "sent": [{"context": context, "continuation": text} for context, text in sent],
        "answers": sample["filtered_resps"],
        "target": sample["target"],
        metric: metric_values(sample)[metric.partition(",")[0]],
    }


def _samples_file(output: Path) -> Path:
    return output.with_suffix(".samples.jsonl.zst")


def _lm_eval_files(output: Path) -> list[Path]:
    folder, task = output.parent / "lm_eval", output.stem
    return [folder / f"results_{task}.json", folder / f"samples_{task}.jsonl"]


def _write_samples(path: Path, samples: Iterable[Mapping[str, object]]) -> None:
    packer = zstandard.ZstdCompressor(level=9)
    with atomic_writer(path, "wb") as handle, packer.stream_writer(handle, closefd=False) as packed:
        for sample in samples:
            packed.write(orjson.dumps(sample, option=_LINE, default=str))


# --- Kept results. If a job is stopped, or Snakemake does not see its end, Snakemake removes the
# --- job's declared outputs. So results are also kept at paths that no rule declares
# --- (`lamini.jobs.kept_outputs`). A task is finished if its kept result exists: it is written
# --- after the task's samples.


def _work_file(output: Path) -> Path:
    return output.parent / "work" / output.name


def _save_finished(output: Path, result: EvaluationResult, made_from: str) -> None:
    write_json(_work_file(output), {"made_from": made_from, "result": result.as_json()})


def _is_finished(output: Path, made_from: str) -> bool:
    path = _work_file(output)
    return path.is_file() and read_json(path)["made_from"] == made_from
