"""One model on a batch of tasks: a result file for each, written as it is finished."""

import logging
import math
import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import zstandard

from lamini.errors import LaminiError
from lamini.evaluation.data import DataFacts
from lamini.evaluation.models import (
    choose_device,
    load_model,
    manifest_sha256,
    model_identity,
)
from lamini.evaluation.results import summarize
from lamini.evaluation.tasks import build_task, check_examples, missing_package
from lamini.files import (
    atomic_writer,
    copy_file,
    derive_seed,
    read_json,
    stable_hash,
    write_json,
)
from lamini.jobs.provenance import package_versions
from lamini.settings.evaluation import Evaluation, Task
from lamini.settings.params import AskedModel, EvaluateModel
from lamini.students.numerics import choose_precision

logger = logging.getLogger("lamini")
Row = dict[str, Any]
_NAMED = 5
"""Rows that a warning names at most."""
_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


def evaluate_model(
    *,
    evals: Sequence[str | Path],
    settings: EvaluateModel,
    tokens_per_batch: int | None = None,
) -> None:
    """Evaluate one model on a batch of tasks.

    The tasks' data are read and checked before the model is loaded. Finished tasks are kept in
    `work/`, from where the next run takes them when Snakemake does not accept this one.

    Args:
        evals: a JSON file for each task, in the tasks' order: `model`, `task`, `metric`, `score`,
            `standard_error`, `interval` (all times 100), `examples`, `truncated`, `unscorable` (how
            many texts), `values` (of each example), `way` (`forward.proof`), and what they were
            measured with.
        settings: the rule's params.
        tokens_per_batch: padded tokens computed at once; null: the default.

    Raises:
        LaminiError: names the file, row or model that is wrong.
        ValueError: when the protocol is left open.
    """
    asked, tasks = settings.model, settings.tasks
    if settings.evaluation.protocol == "auto":
        raise ValueError("the protocol of a job is `paper` or `modern`")
    speed = {"tokens_per_batch": tokens_per_batch} if tokens_per_batch else {}
    evaluation = settings.evaluation.model_copy(update=speed)
    outputs = dict(zip(tasks, map(Path, evals), strict=True))
    made_from = stable_hash(settings.as_params(), model_identity(asked))
    pending: dict[str, tuple[Any, DataFacts]] = {}
    for name, output in outputs.items():
        if _take_finished(output, made_from):
            logger.info("%s: finished by an earlier run", name)
            continue
        pending[name] = build_task(name, tasks[name], evaluation.protocol, evaluation.mirror)
        check_examples(name, pending[name][0], tasks[name], evaluation.mirror, evaluation.limit)
    if pending:
        language_model = _language_model(asked, evaluation)
        for name, (task, facts) in pending.items():
            result, samples = _run(language_model, name, task, tasks[name], evaluation)
            result |= {"data": facts.as_params(), **_measured_with(asked, evaluation)}
            if evaluation.samples:
                _write_samples(_work_file(_samples_file(outputs[name])), samples)
            _keep_finished(outputs[name], {"model": asked.model, **result}, made_from)
    for output in outputs.values():
        if evaluation.samples:
            copy_file(_work_file(_samples_file(output)), _samples_file(output))
        write_json(output, read_json(_work_file(output))["result"])


def _language_model(asked: AskedModel, evaluation: Evaluation) -> Any:
    from lamini.evaluation.harness import LaminiLM

    device = choose_device()
    precision = choose_precision(evaluation.precision, device, before_ampere="fp32")
    model, tokenizer = load_model(asked, precision, device, evaluation)
    return LaminiLM(
        model,
        tokenizer=tokenizer,
        prompt_format=asked.prompt_format,
        protocol=evaluation.protocol,
        max_encoder_tokens=evaluation.max_encoder_tokens,
        tokens_per_batch=evaluation.tokens_per_batch,
        name=asked.model,
    )


def _run(
    language_model: Any, name: str, task: Any, settings: Task, evaluation: Evaluation
) -> tuple[Row, list[Row]]:
    """Evaluate one task; its result, and what was sent and came back for each example."""
    import lm_eval

    count = len(task.eval_docs)
    logger.info("%s: %d examples", name, min(count, evaluation.limit or count))
    before = language_model.encoder.truncated
    try:
        with np.errstate(divide="ignore", invalid="ignore"):  # of blank choices, by their length
            measured = lm_eval.evaluate(
                language_model, {"tasks": {name: task}}, limit=evaluation.limit, bootstrap_iters=0
            )
    except ImportError as error:
        raise missing_package(name, error) from error
    samples = _first_filter(measured["samples"][name])
    sent = [
        [language_model.encoder.texts(*arguments[:2]) for arguments in sample["arguments"]]
        for sample in samples
    ]
    reasons: list[list[str | None]] = [[] for _ in samples]
    if task.OUTPUT_TYPE != "generate_until":
        unscorable = language_model.encoder.unscorable
        reasons = [[unscorable.get(texts) for texts in of_example] for of_example in sent]
        _check_likelihoods(name, samples, reasons)
    values = [
        _value(name, sample, settings.metric, of_example)
        for sample, of_example in zip(samples, reasons, strict=True)
    ]
    odd = [
        f"row {sample['doc_id'] + 1} ({reason})"
        for sample, of_example in zip(samples, reasons, strict=True)
        for reason in of_example
        if reason is not None
    ]
    if odd:
        logger.warning(
            "%s: %d texts can't be scored, and count as the least likely: %s%s",
            name, len(odd), ", ".join(odd[:_NAMED]), " ..." if len(odd) > _NAMED else "",
        )  # fmt: skip
    truncated = language_model.encoder.truncated - before
    if truncated:
        logger.warning("%s: the context of %d requests was cut from the left", name, truncated)
    seed = derive_seed("evaluate_model", name)
    result = {
        "task": name,
        "metric": settings.metric,
        **summarize(values, evaluation.replicates, seed),
        "examples": len(values),
        "examples_published": settings.examples,
        "task_version": task.VERSION,
        "requests_hash": stable_hash(sent),
        "truncated": truncated,
        "unscorable": len(odd),
        **language_model.ways(),
        "values": [round(value, 6) for value in values],
    }
    return result, [_sample(s, t, settings.metric) for s, t in zip(samples, sent, strict=True)]


def _first_filter(samples: Sequence[Row]) -> list[Row]:
    """The samples in the examples' order; of a task that reads its answers in several ways, those
    of the way that its definition names first."""
    first = samples[0].get("filter") if samples else None
    mine = (sample for sample in samples if sample.get("filter") == first)
    return sorted(mine, key=lambda sample: sample["doc_id"])


def _check_likelihoods(name: str, samples: list[Row], reasons: list[list[str | None]]) -> None:
    """Refuse a log-likelihood that is no number although its text can be scored."""
    for sample, of_example in zip(samples, reasons, strict=True):
        for (likelihood, _), reason in zip(sample["filtered_resps"], of_example, strict=True):
            if reason is None and not math.isfinite(likelihood):
                raise LaminiError(
                    f"{name}: example {sample['doc_id']} has a log-likelihood that is no number;"
                    " the model's weights are damaged, or its precision too short"
                    " (`evaluation.precision: fp32`)"
                )


def _value(name: str, sample: Row, metric: str, reasons: list[str | None]) -> float:
    """The metric of one example; wrong where what can't be scored leaves nothing to choose from.

    Raises:
        LaminiError: when the task does not measure the metric for single examples.
    """
    if metric not in sample:
        raise LaminiError(
            f"tasks.{name}.metric: the task does not measure {metric}; it has"
            f" {', '.join(sample['metrics'])}"
        )
    value = sample[metric]
    if not isinstance(value, numbers.Real | np.bool_):
        raise LaminiError(
            f"tasks.{name}.metric: {metric} has no value for a single example, such as"
            f" accuracy has; the task has {', '.join(sample['metrics'])}"
        )
    found = [reason for reason in reasons if reason is not None]
    if not found:
        return float(value)
    if not math.isfinite(value):
        raise LaminiError(
            f"tasks.{name}.metric: {metric} has no value for row {sample['doc_id'] + 1}, of which a"
            f" text can't be scored ({found[0]}); take a metric such as acc"
        )
    # Mutual information compares with the choice alone, which can't be scored either.
    nothing = len(found) == len(reasons) or metric == "acc_mutual_info"
    return 0.0 if nothing else float(value)


def _sample(sample: Row, sent: list[tuple[str, str]], metric: str) -> Row:
    return {
        "example": sample["doc_id"],
        "sent": [{"context": context, "continuation": text} for context, text in sent],
        "answers": sample["filtered_resps"],
        "target": sample["target"],
        metric: sample[metric],
    }


def _samples_file(output: Path) -> Path:
    return output.with_suffix(".samples.jsonl.zst")


def _write_samples(path: Path, samples: list[Row]) -> None:
    packer = zstandard.ZstdCompressor(level=9)
    with atomic_writer(path, "wb") as handle, packer.stream_writer(handle, closefd=False) as packed:
        for sample in samples:
            packed.write(orjson.dumps(sample, option=_LINE, default=str))


def _measured_with(asked: AskedModel, evaluation: Evaluation) -> Row:
    versions = package_versions()
    precision = choose_precision(evaluation.precision, choose_device(), before_ampere="fp32")
    return {
        "protocol": evaluation.protocol,
        "precision": precision,
        "prompt_format": asked.prompt_format,
        "model_path": asked.path,
        "model_revision": asked.revision,
        "model_manifest_sha256": manifest_sha256(asked),
        "packages": {name: versions[name] for name in ("lm_eval", "torch", "transformers")},
    }


# --- Finished tasks of a job that was stopped, or whose end Snakemake did not see: it removes the
# --- outputs that it declares, so they are kept where no rule declares any
# --- (`lamini.jobs.kept_outputs`). A task is finished when its result stands there, which is
# --- written after its samples.


def _work_file(output: Path) -> Path:
    return output.parent / "work" / output.name


def _keep_finished(output: Path, result: Row, made_from: str) -> None:
    write_json(_work_file(output), {"made_from": made_from, "result": result})


def _take_finished(output: Path, made_from: str) -> bool:
    path = _work_file(output)
    return path.is_file() and read_json(path)["made_from"] == made_from
