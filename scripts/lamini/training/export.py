"""Export of the trained model as a Hugging Face folder, with its model card and manifest.

Snakemake may delete declared outputs. In `final/` these are the manifest and the metrics, so copies
of both are kept until Snakemake accepts them (`lamini.jobs.kept_outputs`). The weights are not
declared and stay.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from lamini.errors import LaminiError
from lamini.files import (
    FileEntry,
    atomic_writer,
    copy_file,
    damage_of,
    read_json,
    write_folder_manifest,
    write_json,
    write_jsonl,
)
from lamini.forward.proof import Choice
from lamini.jobs.commits import HUB_COMMITS, commits_read
from lamini.prompt_formats import render_prompt
from lamini.students.adapters import save_adapter
from lamini.students.pretrained import save_model
from lamini.students.token_cache import TokenCache
from lamini.training.job import TrainingJob
from lamini.training.kept_epoch import best_row, kept_fields
from lamini.training.manifest import AdapterSize, InitialWeights, TrainingManifest, TrainingSample
from lamini.training.metrics import StepMetrics, held_out_losses
from lamini.training.pairs import Selection, StepPlan

logger = logging.getLogger("lamini")
METRICS = "metrics.jsonl"
LEFT_OUT = "left_out.jsonl"
_CHAT = """`tokenizer.apply_chat_template(messages, add_generation_prompt=True)` gives its tokens as
in training, for the last message, which must be the user's. Earlier turns and system messages are
left out: the model has seen none."""
_OWN_CHAT = """`tokenizer.apply_chat_template(messages, add_generation_prompt=True)` gives its
tokens as in training, for one message of the user. The model has seen no earlier turns, and no
other system message than that of this prompt."""
_NO_CHAT = """The tokenizer has no chat template: tokenise the prompt as a text, with the tokens
that the tokenizer adds."""


def export_model(
    job: TrainingJob,
    model: Any,
    tokenizer: Any,
    metrics: list[StepMetrics],
    manifest: TrainingManifest,
    *,
    left_out: Sequence[Mapping[str, object]],
    folder: Path,
) -> Path:
    """Write `final/` and return the path of its manifest, which is written last.

    Args:
        job: settings of the run.
        model: the trained model (`adapter.export_form`).
        tokenizer: its tokenizer, with the chat template.
        metrics: rows of `metrics.jsonl`.
        manifest: content of the manifest (`training_manifest`).
        left_out: excluded pairs with the reason of each.
        folder: output folder; its old content is deleted.

    Raises:
        LaminiError: when the model can't be written (a full disk).
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if _is_adapter(job):
            save_adapter(model, tokenizer, folder)
        else:
            save_model(model, tokenizer, folder)
        StepMetrics.write_rows(folder / METRICS, metrics)
        write_jsonl(folder / LEFT_OUT, left_out)
        with atomic_writer(folder / "README.md") as handle:
            handle.write(
                model_card(
                    job,
                    manifest,
                    chat_template=bool(tokenizer.chat_template),
                    chat_prompt=_chat_prompt(tokenizer) if job.chat else None,
                )
            )
        return write_folder_manifest(folder, manifest.as_json())
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise LaminiError(
            f"{folder}: the model can't be written ({error}); make room and run the same command"
            " again: training itself is done and saved"
        ) from error


def training_manifest(
    job: TrainingJob,
    metrics: list[StepMetrics],
    cache: TokenCache,
    selection: Selection,
    choice: Choice,
    *,
    adapter: AdapterSize | None = None,
    sample: TrainingSample | None = None,
) -> TrainingManifest:
    """Manifest of the model of a run: first and last losses, counts, data."""
    steps = metrics[1:]
    measured = held_out_losses(metrics)
    first, last = steps[0].loss, steps[-1].loss
    assert first is not None and last is not None  # only the row of step 0 has no loss
    kept = best_row(metrics) if job.recipe.keep == "best" else None
    after = kept.held_out_loss if kept else measured[-1] if measured else None
    initial, planned = job.initialization, StepPlan(selection.training, job.recipe).steps
    return TrainingManifest(
        model=job.model,
        initialization=InitialWeights(path=initial.path, revision=initial.revision),
        steps=len(steps),
        steps_skipped=sum(row.skipped for row in steps),
        loss_first=first,
        loss_last=last,
        held_out_before=measured[0] if measured else None,
        held_out_after=after,
        pairs_used=len(selection.training),
        pairs_held_out=len(selection.held_out),
        pairs_left_out=selection.counts(),
        supervised_tokens=sum(row.supervised_tokens or 0 for row in steps),
        tokens=sum(row.tokens or 0 for row in steps),
        dataset_sha256=cache.manifest["dataset_sha256"],
        **kept_fields(metrics, job.recipe, planned),
        **choice.fields(),
        **({"adapter": adapter} if adapter else {}),
        **({"sample": sample} if sample else {}),
        **({HUB_COMMITS: commits} if (commits := commits_read()) else {}),
    )


def _chat_prompt(tokenizer: Any) -> str:
    """Prompt that the tokenizer's chat template gives for `{instruction}`."""
    message = {"role": "user", "content": "{instruction}"}
    text: str = tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    return text


_USE_AND_LIMITS = """## Intended use

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


def model_card(
    job: TrainingJob,
    manifest: TrainingManifest,
    *,
    chat_template: bool,
    chat_prompt: str | None = None,
) -> str:
    """Text of the model folder's `README.md`.

    Args:
        job: settings of the run.
        manifest: content of the manifest (`training_manifest`).
        chat_template: whether the tokenizer has a chat template.
        chat_prompt: prompt of `prompt_format: chat`; null: another prompt format.
    """
    prompt = chat_prompt or render_prompt(job.prompt_format, "{instruction}")
    template = _CHAT if chat_template else _NO_CHAT
    recipe = job.recipe.result_params().items()
    settings = "\n".join(f"| {key} | {_cell(value)} |" for key, value in recipe if key != "version")
    left_out = sum(manifest.pairs_left_out.values())
    more_rows = _kept(manifest) + _adapter(manifest)
    return f"""---
base_model: {job.initialization.path}
library_name: {"peft" if _is_adapter(job) else "transformers"}
pipeline_tag: {"text-generation" if _causal(job) else "text2text-generation"}
language: en
license: other
license_name: that-of-the-base-model-and-the-data
---

# {job.name or job.model}

{job.initialization.path} fine-tuned on instruction-response pairs as LaMini-LM is
([arXiv 2304.14402](https://arxiv.org/abs/2304.14402), section 4.1).

## Prompt

```
{prompt}
```
{_loading(job)}
{_OWN_CHAT if chat_prompt else template}

## Training

| | |
|---|---|
| pairs trained on | {manifest.pairs_used:,}{_sampled(manifest)} |
| pairs held out | {manifest.pairs_held_out:,} |
| pairs left out | {left_out:,} (`left_out.jsonl`) |
| optimiser steps | {manifest.steps:,} |
| of them skipped, as fp16 overflowed | {manifest.steps_skipped:,} |{more_rows}
| loss of the first and the last step | {manifest.loss_first} → {manifest.loss_last} |
| held-out loss before and after | {manifest.held_out_before} → {manifest.held_out_after} |
| computed by | `{manifest.way}`{_refused(manifest)} |
| SHA-256 of the dataset | `{manifest.dataset_sha256}` |

Losses are nats per supervised token: the response and its end token. The curve is in
`metrics.jsonl`.

| setting | value |
|---|---|
{settings}

{_USE_AND_LIMITS}"""


def _cell(value: Any) -> str:
    """A setting's value in the table; of a group of settings their names and values."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    return str(value)


def _refused(manifest: TrainingManifest) -> str:
    """Reasons why faster ways of computation were refused."""
    reasons = (manifest.refused_ways or {}).items()
    return "".join(f"; not by `{way}`, which {reason}" for way, reason in reasons)


def _sampled(manifest: TrainingManifest) -> str:
    """The share of the training pairs and its sources; empty if all were used."""
    if manifest.sample is None:
        return ""
    sample = manifest.sample
    sources = ", ".join(f"{name} {count:,}" for name, count in sample.pairs_by_source.items())
    return f", a share of {sample.share:g} drawn with seed {sample.seed} ({sources})"


def _kept(manifest: TrainingManifest) -> str:
    """Rows on the kept epoch and the early stop; empty with the default recipe."""
    rows = []
    if manifest.kept_step is not None:
        kept = f"epoch {manifest.kept_epoch:g} (step {manifest.kept_step:,})"
        rows.append(f"weights kept | of {kept}, the lowest held-out loss")
    if manifest.steps_planned is not None:
        planned = f"planned: {manifest.steps_planned:,} steps"
        early = f"early, as the held-out loss did not fall; {planned}"
        rows.append(f"stopped | {early if manifest.stopped_early else 'after the last step'}")
    return "".join(f"\n| {row} |" for row in rows)


def _adapter(manifest: TrainingManifest) -> str:
    """Row on the adapter; empty if all weights were trained."""
    if manifest.adapter is None:
        return ""
    trained, frozen = manifest.adapter.parameters_trained, manifest.adapter.parameters_frozen
    modules = ", ".join(manifest.adapter.modules)
    return (
        f"\n| weights trained | a LoRA adapter of {trained:,} parameters in {modules}; the"
        f" {frozen:,} others as in the base model |"
    )


def _is_adapter(job: TrainingJob) -> bool:
    return job.recipe.lora is not None and job.recipe.lora.export == "adapter"


def _loading(job: TrainingJob) -> str:
    """How to load a folder with an adapter alone; empty for a whole model."""
    if not _is_adapter(job):
        return ""
    kind = "CausalLM" if _causal(job) else "Seq2SeqLM"
    return f"""
This folder has a LoRA adapter only: `peft.AutoPeftModelFor{kind}.from_pretrained` of it also loads
the base model. If the tokenizer has more tokens than the base model, call its
`resize_token_embeddings(len(tokenizer))` before: the new tokens get the mean of the others.
"""


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
    copy = read_json(kept / "manifest.json")
    manifest = copy["result"]
    if copy["made_from"] != fingerprint or not _complete(final, kept, manifest["files"]):
        shutil.rmtree(kept)
        return False
    write_json(final / "manifest.json", manifest)
    logger.info("finished by an earlier run that Snakemake did not record: %s", final)
    return True


def _complete(final: Path, kept: Path, files: Mapping[str, FileEntry]) -> bool:
    """Restore the metrics; returns whether all files match the manifest."""
    try:
        copy_file(kept / METRICS, final / METRICS)
        return damage_of(final, files) is None
    except OSError:
        return False
