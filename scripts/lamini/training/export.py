"""Export of the trained model as a Hugging Face folder, with its model card and manifest.

Snakemake may delete declared outputs. In `final/` these are the manifest and the metrics, so copies
of both are kept until Snakemake accepts them (`lamini.jobs.kept_outputs`). The weights are not
declared and stay.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from lamini.errors import LaminiError
from lamini.files import (
    atomic_writer,
    copy_file,
    damage_of,
    read_json,
    write_folder_manifest,
    write_json,
    write_jsonl,
)
from lamini.forward.proof import Choice
from lamini.prompt_formats import render_prompt
from lamini.students.pretrained import save_model
from lamini.students.token_cache import TokenCache
from lamini.training.facts import InitialWeights, TrainingFacts
from lamini.training.job import TrainingJob
from lamini.training.pairs import Selection

logger = logging.getLogger("lamini")
METRICS = "metrics.jsonl"
LEFT_OUT = "left_out.jsonl"
_CHAT = """`tokenizer.apply_chat_template(messages, add_generation_prompt=True)` gives its tokens as
in training, for the last message, which must be the user's. Earlier turns and system messages are
left out: the model has seen none."""
_NO_CHAT = """The tokenizer has no chat template: tokenise the prompt as a text, with the tokens
that the tokenizer adds."""


def export_model(
    job: TrainingJob,
    model: Any,
    tokenizer: Any,
    metrics: list[dict[str, Any]],
    facts: TrainingFacts,
    *,
    left_out: list[dict[str, Any]],
    folder: Path,
) -> Path:
    """Write `final/` and return the path of its manifest, which is written last.

    Args:
        job: settings of the run.
        model: the trained model.
        tokenizer: its tokenizer, with the chat template.
        metrics: rows of `metrics.jsonl`.
        facts: facts of the run (`run_facts`).
        left_out: excluded pairs with the reason of each.
        folder: output folder; its old content is deleted.

    Raises:
        LaminiError: when the model can't be written (a full disk).
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_model(model, tokenizer, folder)
        write_jsonl(folder / METRICS, metrics)
        write_jsonl(folder / LEFT_OUT, left_out)
        with atomic_writer(folder / "README.md") as handle:
            handle.write(model_card(job, facts, chat_template=bool(tokenizer.chat_template)))
        return write_folder_manifest(folder, facts.as_json())
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise LaminiError(
            f"{folder}: the model can't be written ({error}); make room and run the same command"
            " again: training itself is done and saved"
        ) from error


def run_facts(
    job: TrainingJob,
    metrics: list[dict[str, Any]],
    cache: TokenCache,
    selection: Selection,
    choice: Choice,
) -> TrainingFacts:
    """Facts of a run for its manifest and model card: first and last losses, counts, data."""
    steps = metrics[1:]
    skipped = sum(row["gradient_norm"] is None for row in steps)  # None: the norm was not finite
    measured = [row["held_out_loss"] for row in metrics if row["held_out_loss"] is not None]
    start = job.initialization
    return TrainingFacts(
        model=job.model,
        initialization=InitialWeights(path=start.path, revision=start.revision),
        steps=len(steps),
        steps_skipped=skipped,
        loss_first=steps[0]["loss"],
        loss_last=steps[-1]["loss"],
        held_out_before=measured[0] if measured else None,
        held_out_after=measured[-1] if measured else None,
        pairs_used=len(selection.training),
        pairs_held_out=len(selection.held_out),
        pairs_left_out=selection.counts(),
        supervised_tokens=sum(row["supervised_tokens"] for row in steps),
        tokens=sum(row["tokens"] for row in steps),
        dataset_sha256=cache.facts["dataset_sha256"],
        **choice.facts(),
    )


def model_card(job: TrainingJob, facts: TrainingFacts, *, chat_template: bool) -> str:
    """Text of the model folder's `README.md`.

    Args:
        job: settings of the run.
        facts: facts of the run (`run_facts`).
        chat_template: whether the tokenizer has a chat template.
    """
    recipe = job.recipe.result_params().items()
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe if key != "version")
    left_out = sum(facts.pairs_left_out.values())
    return f"""---
base_model: {job.initialization.path}
library_name: transformers
pipeline_tag: {"text-generation" if _causal(job) else "text2text-generation"}
language: en
license: other
license_name: that-of-the-base-model-and-the-data
---

# {job.name}

{job.initialization.path} fine-tuned on instruction-response pairs as LaMini-LM is
([arXiv 2304.14402](https://arxiv.org/abs/2304.14402), section 4.1).

## Prompt

```
{render_prompt(job.prompt_format, "{instruction}")}
```

{_CHAT if chat_template else _NO_CHAT}

## Training

| | |
|---|---|
| pairs trained on | {facts.pairs_used:,} |
| pairs held out | {facts.pairs_held_out:,} |
| pairs left out | {left_out:,} (`left_out.jsonl`) |
| optimiser steps | {facts.steps:,} |
| of them skipped, as fp16 overflowed | {facts.steps_skipped:,} |
| loss of the first and the last step | {facts.loss_first} → {facts.loss_last} |
| held-out loss before and after | {facts.held_out_before} → {facts.held_out_after} |
| computed by | `{facts.way}`{_refused(facts)} |
| SHA-256 of the dataset | `{facts.dataset_sha256}` |

Losses are nats per supervised token: the response and its end token. The curve is in
`metrics.jsonl`.

| setting | value |
|---|---|
{settings}

## Intended use

Research on distilled instruction following: comparing models, data and recipes. It answers single
English instructions in the prompt above; it was not made for conversations of several turns, nor
tuned by human preferences.

## Limits

It states falsehoods with confidence, repeats biases of its teacher's answers and of its base
model's pretraining, and has no filter for harmful requests. Small models follow long or many-step
instructions badly. Not for decisions about people, nor for advice on health, law or money.

## Licence

The licences of the base model and of the data apply; terms of the teacher's vendor may restrict
what models trained on its answers are used for.
"""


def _refused(facts: TrainingFacts) -> str:
    """Reasons why faster ways of computation were refused."""
    reasons = (facts.refused_ways or {}).items()
    return "".join(f"; not by `{way}`, which {reason}" for way, reason in reasons)


def _causal(job: TrainingJob) -> bool:
    return job.architecture == "decoder-only"


def keep_finished(output: Path, fingerprint: str) -> None:
    """Copy the declared files of `output/final` to `output/work/final`.

    Args:
        output: the run's folder with a complete `final/`.
        fingerprint: fingerprint of the run (`TrainingJob.fingerprint`).
    """
    final, kept = output / "final", output / "work" / "final"
    kept.mkdir(parents=True, exist_ok=True)
    copy_file(final / METRICS, kept / METRICS)
    manifest = read_json(final / "manifest.json")
    write_json(kept / "manifest.json", {"made_from": fingerprint, "result": manifest})


def take_finished(output: Path, fingerprint: str) -> bool:
    """Restore `output/final` from the copies; returns whether it is complete and of this run.

    The weights are checked against the manifest. Copies that do not match are deleted.
    """
    final, kept = output / "final", output / "work" / "final"
    if not (kept / "manifest.json").is_file():
        return False
    facts = read_json(kept / "manifest.json")
    manifest = facts["result"]
    if facts["made_from"] != fingerprint or not _complete(final, kept, manifest):
        shutil.rmtree(kept)
        return False
    write_json(final / "manifest.json", manifest)
    logger.info("finished by an earlier run that Snakemake did not record: %s", final)
    return True


def _complete(final: Path, kept: Path, manifest: dict[str, Any]) -> bool:
    """Restore the metrics; returns whether all files match the manifest."""
    try:
        copy_file(kept / METRICS, final / METRICS)
        return damage_of(final, manifest["files"]) is None
    except OSError:
        return False
