"""Export of the trained model as a Hugging Face folder that gives the same logits everywhere."""

import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from lamini.errors import LaminiError
from lamini.files import atomic_writer, write_folder_manifest, write_jsonl
from lamini.students.pretrained import save_model
from lamini.students.token_cache import TokenCache
from lamini.training.job import TrainingJob
from lamini.training.model_card import model_card
from lamini.training.pairs import Selection

METRICS = "metrics.jsonl"
LEFT_OUT = "left_out.jsonl"


def export_model(
    job: TrainingJob,
    model: Any,
    tokenizer: Any,
    metrics: list[dict[str, Any]],
    facts: dict[str, Any],
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
        return write_folder_manifest(folder, facts)
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
) -> dict[str, Any]:
    """Facts of a run for its manifest and model card: first and last losses, counts, data."""
    steps = metrics[1:]
    skipped = sum(row["gradient_norm"] is None for row in steps)  # None: the norm was not finite
    measured = [row["held_out_loss"] for row in metrics if row["held_out_loss"] is not None]
    return {
        "model": job.model,
        "initialization": job.initialization.as_params(),
        "steps": len(steps),
        "steps_skipped": skipped,
        "loss_first": steps[0]["loss"],
        "loss_last": steps[-1]["loss"],
        "held_out_before": measured[0] if measured else None,
        "held_out_after": measured[-1] if measured else None,
        "pairs_used": len(selection.training),
        "pairs_held_out": len(selection.held_out),
        "pairs_left_out": selection.counts(),
        "supervised_tokens": sum(row["supervised_tokens"] for row in steps),
        "tokens": sum(row["tokens"] for row in steps),
        "dataset_sha256": cache.facts["dataset_sha256"],
    }
