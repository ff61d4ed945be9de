"""Reads with the pipeline's own code what a configuration names on the hub, and prints what it got.

    python tests/rehearsal/read_hub.py KIND... [--configfile FILE]

A process of its own, because the hub's client reads its address (HF_ENDPOINT) when it is imported.
The JSON on standard output has what was read by kind, and `commits`, those that a job would record.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamini.command import read_config
from lamini.jobs.commits import commits_read
from lamini.workflow import Workflow

LINE = "Count 1234567 apples!"


def digest(tensor: torch.Tensor) -> str:
    """Digest of a tensor's values in fp32."""
    return hashlib.sha256(tensor.detach().float().numpy().tobytes()).hexdigest()[:16]


def tokenizers(flow: Workflow) -> dict[str, Any]:
    """Size, padding, end and pieces of each tokenizer."""
    from lamini.students.tokenizers import load_tokenizer

    found = {}
    for name, tokenizer in flow.config.tokenizers.items():
        place = flow.tokenizer_location(name)
        loaded = load_tokenizer(
            place.path, place.revision, tokenizer.pad_token, needs_end=name != "bert"
        )
        pieces = loaded.convert_ids_to_tokens(loaded(LINE, add_special_tokens=False)["input_ids"])
        found[name] = [len(loaded), loaded.pad_token_id, loaded.eos_token, pieces]
    return found


def models(flow: Workflow) -> dict[str, Any]:
    """Class, size of the tokenizer and digests of the weights of each evaluated model."""
    from lamini.evaluation.models import load_evaluated_model

    found = {}
    for model in flow.evaluated_models:
        if flow.config.checkpoints == "trained" and model in flow.config.students:
            continue
        asked = flow.evaluated_model_params(model)
        settings = flow.evaluation_params(model, next(iter(flow.batches)))
        loaded, tokenizer = load_evaluated_model(
            asked, "fp32", torch.device("cpu"), settings.evaluation
        )
        weights = sorted(digest(value) for value in loaded.parameters())
        found[model] = [type(loaded).__name__, len(tokenizer), weights]
    return found


def initializations(flow: Workflow) -> dict[str, Any]:
    """Class, rows of the embedding and size of the tokenizer of each student before training."""
    from lamini.training.initialization import load_initialization
    from lamini.training.job import TrainingJob

    found = {}
    for student in flow.trained_students:
        job = TrainingJob.from_json(flow.training_json(student))
        model, tokenizer = load_initialization(job)
        rows = model.get_input_embeddings().weight.shape[0]
        found[student] = [type(model).__name__, rows, len(tokenizer), tokenizer.pad_token_id]
    return found


def tasks(flow: Workflow) -> dict[str, Any]:
    """SHA-256 of the examples and the first request of each task, in both protocols."""
    from lamini.evaluation.tasks import build_task

    found = {}
    for name in flow.config.evaluated_tasks:
        for protocol in ("paper", "modern"):
            settings = flow.config.tasks[name]
            task, facts = build_task(name, settings, protocol, flow.config.evaluation.mirror)
            assert facts.source == "hub"
            found[f"{name} {protocol}"] = [facts.sha256, task.doc_to_text(task.eval_docs[0])]
    return found


def seeds(flow: Workflow) -> dict[str, Any]:
    """Numbers of prompts by subset of each source that reads the hub."""
    from lamini.generation.seeds import prompt_of, read_seeds

    found: dict[str, Any] = {}
    for name, source in flow.config.sources.items():
        if source.seeds.hub is not None:
            counts = Counter[str]()
            for row in read_seeds(source.seeds):
                assert prompt_of(row.row, source.seeds.format)
                counts[row.subset] += 1
            found[name] = dict(sorted(counts.items()))
    return found


def embeddings(flow: Workflow) -> dict[str, Any]:
    """Dimensions, length and norm of a sentence's embedding."""
    from lamini.analysis.embeddings import embed, load_model

    settings = flow.config.analysis.embeddings
    model = load_model(settings.model, settings.revision)
    vector = embed(model, [LINE])[0]
    return {
        settings.model: [len(vector), model.max_seq_length, round(float(np.linalg.norm(vector)), 4)]
    }


def published(flow: Workflow) -> dict[str, Any]:
    """Number of rows of each source in the released dataset."""
    from lamini.dataset.published import _batches

    assert flow.config.published is not None and flow.config.published.hub is not None
    counts = Counter[str]()
    for _, batch in _batches(flow.config.published):
        counts.update(batch["instruction_source"].to_pylist())
    return dict(sorted(counts.items()))


KINDS: dict[str, Callable[[Workflow], dict[str, Any]]] = {
    kind.__name__: kind
    for kind in (tokenizers, models, initializations, tasks, seeds, embeddings, published)
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    parser.add_argument("--configfile", nargs="*", type=Path, default=[])
    asked = parser.parse_args()
    flow = Workflow(read_config(asked.configfile, []))
    read = {kind: KINDS[kind](flow) for kind in asked.kinds}
    print(json.dumps({**read, "commits": commits_read()}))
