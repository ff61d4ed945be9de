"""A result in lm-eval's own form: `results_{task}.json` and `samples_{task}.jsonl`.

The files have the keys of those that lm-eval's command line writes, so that its table maker and the
tools that read them work. They have no time and no path of the machine.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamini.evaluation.measured import Measured, Sample
from lamini.files import atomic_writer

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.task import ConfigurableTask

_OF_THIS_RUN = {"samples", "config"}
"""Keys of lm-eval's results that are not written as they are."""


def group_of(
    name: str, tasks: Mapping[str, "ConfigurableTask"], metrics: Sequence[str]
) -> dict[str, "Group"]:
    """The group of several tasks, for lm-eval's results; empty for one task.

    Args:
        name: key of the group.
        tasks: its tasks by name.
        metrics: its metrics; their means are weighted by the number of examples.
    """
    from lm_eval.api.group import Group
    from lm_eval.config.group import AggMetricConfig

    if list(tasks) == [name]:
        return {}
    names = dict.fromkeys(metric.partition(",")[0] for metric in metrics)
    group = Group(name, aggregate_metric_list=[AggMetricConfig(metric) for metric in names])
    for task in tasks.values():
        group.add(task)
    return {name: group}


def write_lm_eval_results(path: str | Path, measured: Measured, model: str) -> None:
    """Write what `lm_eval.evaluate` returned.

    Args:
        path: JSON file to write.
        measured: the returned results.
        model: name of the model.
    """
    content: dict[str, object] = {
        key: value for key, value in measured.items() if key not in _OF_THIS_RUN
    }
    content["configs"] = {
        task: {key: value for key, value in config.items() if key != "custom_dataset"}
        for task, config in measured["configs"].items()
    }
    content["config"] = {"model": "lamini", "model_name": model}
    content["model_name"] = model
    _write(path, [_dumped(content, indent=2)])


def write_lm_eval_samples(path: str | Path, measured: Measured) -> None:
    """Write requests, outputs and metrics of each example, one per line.

    Args:
        path: JSONL file to write.
        measured: what `lm_eval.evaluate` returned.
    """
    samples = (sample for task in measured["samples"].values() for sample in task)
    _write(path, (_dumped(_plain(sample)) for sample in samples))


def _plain(sample: Sample) -> dict[str, object]:
    """A sample whose columns have one type each, as lm-eval writes it."""
    from lm_eval.utils import sanitize_list

    arguments = {
        f"gen_args_{number}": {f"arg_{index}": value for index, value in enumerate(request)}
        for number, request in enumerate(sample["arguments"])
    }
    return {
        **sample,
        "arguments": arguments,
        "resps": sanitize_list(sample["resps"]),
        "filtered_resps": sanitize_list(sample["filtered_resps"]),
        "target": str(sample["target"]),
    }


def _dumped(value: Any, indent: int | None = None) -> str:
    from lm_eval.utils import handle_non_serializable

    return json.dumps(value, indent=indent, default=handle_non_serializable, ensure_ascii=False)


def _write(path: str | Path, lines: Any) -> None:
    with atomic_writer(path) as handle:
        for line in lines:
            handle.write(f"{line}\n")
