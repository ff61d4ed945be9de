"""Evaluation of one model on a batch of tasks; each finished task's result is written at once."""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import zstandard

from lamini.evaluation.data import DataIdentity
from lamini.evaluation.example_values import check_likelihoods, example_values, samples_of
from lamini.evaluation.lm_eval_files import (
    group_of,
    write_lm_eval_results,
    write_lm_eval_samples,
)
from lamini.evaluation.measured import Measured, Sample, metric_values
from lamini.evaluation.models import (
    choose_device,
    load_evaluated_model,
    manifest_sha256,
    model_identity,
    prompt_format_of,
)
from lamini.evaluation.results import EvaluationResult, MetricResult, PartResult, Summary, summarize
from lamini.evaluation.task_checks import check_tasks
from lamini.evaluation.task_definitions import missing_package
from lamini.evaluation.tasks import build_tasks
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
from lamini.settings.params.evaluation import EvaluatedModel, EvaluateModel
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
    pending: dict[str, tuple[dict[str, ConfigurableTask], DataIdentity]] = {}
    for name, output in outputs.items():
        if _is_finished(output, made_from):
            logger.info("%s: finished by an earlier run", name)
            continue
        pending[name] = build_tasks(name, tasks[name], evaluation.protocol, evaluation.mirror)
        check_tasks(pending[name][0], tasks[name], evaluation.mirror, evaluation.limit)
    if pending:
        loaded = load_language_model(evaluated, evaluation)
        for name, (built, data) in pending.items():
            result, examples, measured = run_task(loaded, name, built, data, settings)
            if evaluation.samples:
                _write_examples(_work_file(_samples_file(outputs[name])), examples)
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


def load_language_model(evaluated: EvaluatedModel, evaluation: Evaluation) -> Any:
    """Load a model as lm-eval's model (`harness.LaminiLM`)."""
    from lamini.evaluation.harness import LaminiLM

    model, tokenizer = load_evaluated_model(
        evaluated, _precision(evaluation), choose_device(), evaluation
    )
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
    data: DataIdentity,
    settings: EvaluateModel,
) -> tuple[EvaluationResult, list[dict[str, object]], Measured]:
    """Evaluate one task, or the tasks of a group.

    Args:
        language_model: the model (`load_language_model`).
        name: key of the task.
        tasks: the tasks of lm-eval (`tasks.build_tasks`).
        data: origin and SHA-256 of their data.
        settings: the rule's params.

    Returns:
        The result; for each example the texts sent and the answers; and what lm-eval returned.
    """
    encoder, task = language_model.encoder, settings.tasks[name]
    metric = task.metric
    logger.info("%s: %d examples", name, sum(_counts(tasks, settings.evaluation)))
    truncated_before = encoder.truncated
    measured = _measure(language_model, name, tasks, settings)
    samples = samples_of(name, measured, metric)
    texts = [
        [encoder.texts(*arguments[:2]) for arguments in sample["arguments"]] for sample in samples
    ]
    reasons: list[list[str | None]] = [[] for _ in samples]
    first = next(iter(tasks.values()))
    if first.OUTPUT_TYPE != "generate_until":
        reasons = [[encoder.unscorable.get(text) for text in of_example] for of_example in texts]
        check_likelihoods(name, samples, reasons)
    values = example_values(name, samples, metric, reasons)
    truncated = encoder.truncated - truncated_before
    _warn(name, samples, reasons, truncated)
    result = EvaluationResult(
        **_conditions(settings),
        **_score(name, tasks, values, settings),
        **language_model.way_fields(),
        task=name,
        task_version=first.VERSION,
        requests_hash=stable_hash(texts),
        truncated=truncated,
        unscorable=sum(reason is not None for of_example in reasons for reason in of_example),
        data=data,
        **_other_metrics(name, measured, reasons, settings),
    )
    return result, [_example(s, t, metric) for s, t in zip(samples, texts, strict=True)], measured


def _counts(tasks: Mapping[str, "ConfigurableTask"], evaluation: Evaluation) -> list[int]:
    """Number of evaluated examples of each task."""
    return [min(len(task.eval_docs), evaluation.limit or sys.maxsize) for task in tasks.values()]


def _measure(
    language_model: Any,
    name: str,
    tasks: Mapping[str, "ConfigurableTask"],
    settings: EvaluateModel,
) -> Measured:
    """Run lm-eval on the tasks.

    Raises:
        LaminiError: if a metric needs a package that is missing.
    """
    import lm_eval

    task, evaluation, chat = settings.tasks[name], settings.evaluation, settings.model.chat
    try:
        with np.errstate(divide="ignore", invalid="ignore"):  # a blank choice has length 0
            measured: Measured = lm_eval.evaluate(
                language_model,
                {
                    "tasks": tasks,
                    "groups": group_of(name, tasks, [task.metric, *task.other_metrics]),
                },
                limit=evaluation.limit,
                bootstrap_iters=evaluation.replicates if evaluation.lm_eval_files else 0,
                system_instruction=chat.system if chat else None,
                apply_chat_template=chat is not None,
                fewshot_as_multiturn=chat is not None and task.fewshot_as_multiturn,
            )
    except ImportError as error:
        raise missing_package(name, error) from error
    return measured


def _warn(
    name: str, samples: list[Sample], reasons: list[list[str | None]], truncated: int
) -> None:
    """Warn about texts that can't be scored, and about truncated contexts."""
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
    if truncated:
        logger.warning("%s: the context of %d requests was truncated at its start", name, truncated)


def _conditions(settings: EvaluateModel) -> dict[str, Any]:
    """Fields of the result that the model and the settings determine."""
    evaluated, versions = settings.model, package_versions()
    return {
        "model": evaluated.model,
        "protocol": settings.evaluation.protocol,
        "precision": _precision(settings.evaluation),
        "prompt_format": evaluated.prompt_format,
        "model_path": evaluated.path,
        "model_revision": evaluated.revision,
        "model_manifest_sha256": manifest_sha256(evaluated),
        "packages": {name: versions[name] for name in ("lm_eval", "torch", "transformers")},
    }


def _score(
    name: str,
    tasks: Mapping[str, "ConfigurableTask"],
    values: Sequence[float],
    settings: EvaluateModel,
) -> dict[str, Any]:
    """Fields of the result that are computed from the values of the examples."""
    task = settings.tasks[name]
    fields: dict[str, Any] = {
        "metric": task.metric,
        **_summary(name, values, settings),
        "examples": len(values),
        "examples_published": task.examples,
        "values": _rounded(values),
    }
    if task.num_fewshot:
        fields["num_fewshot"] = task.num_fewshot
    if task.data.configs is not None:
        fields["parts"] = _parts(tasks, _counts(tasks, settings.evaluation), values)
    return fields


def _other_metrics(
    name: str, measured: Measured, reasons: Sequence[list[str | None]], settings: EvaluateModel
) -> dict[str, Any]:
    """Field of the result for `tasks.{name}.other_metrics`; empty if the task has none."""
    results = {}
    for metric in settings.tasks[name].other_metrics:
        values = example_values(name, samples_of(name, measured, metric), metric, reasons)
        summary = _summary(name, values, settings)
        results[metric] = MetricResult(**summary, values=_rounded(values))
    return {"other_metrics": results} if results else {}


def _summary(name: str, values: Sequence[float], settings: EvaluateModel) -> Summary:
    seed = derive_seed("evaluate_model", name)
    return summarize(values, settings.evaluation.replicates, seed)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 6) for value in values]


def _precision(evaluation: Evaluation) -> Precision:
    return choose_precision(evaluation.precision, choose_device(), before_ampere="fp32")


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


def _example(sample: Sample, texts: list[tuple[str, str]], metric: str) -> dict[str, object]:
    return {
        "example": sample["doc_id"],
        "sent": [{"context": context, "continuation": text} for context, text in texts],
        "answers": sample["filtered_resps"],
        "target": sample["target"],
        metric: metric_values(sample)[metric.partition(",")[0]],
    }


def _samples_file(output: Path) -> Path:
    return output.with_suffix(".samples.jsonl.zst")


def _lm_eval_files(output: Path) -> list[Path]:
    folder, task = output.parent / "lm_eval", output.stem
    return [folder / f"results_{task}.json", folder / f"samples_{task}.jsonl"]


def _write_examples(path: Path, examples: Iterable[Mapping[str, object]]) -> None:
    packer = zstandard.ZstdCompressor(level=9)
    with atomic_writer(path, "wb") as handle, packer.stream_writer(handle, closefd=False) as packed:
        for example in examples:
            packed.write(orjson.dumps(example, option=_LINE, default=str))


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
