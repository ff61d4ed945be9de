"""The initial model and tokenizer of a run."""

from typing import Any

import torch

from lamini.errors import LaminiError
from lamini.forward.own import start_token
from lamini.jobs.commits import commit_to_read
from lamini.students.chat import export_chat
from lamini.students.chat_template import chat_template
from lamini.students.pretrained import add_rows
from lamini.students.tokenizers import load_tokenizer
from lamini.training.job import TrainingJob


def load_initialization(job: TrainingJob) -> tuple[Any, Any]:
    """The initial model in fp32 and its tokenizer, with matching vocabulary and special tokens.

    Raises:
        LaminiError: when the weights can't be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    causal = job.architecture == "decoder-only"
    loader = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    initial = job.initialization
    try:
        revision = commit_to_read(initial.path, initial.revision) or "main"
        model = loader.from_pretrained(initial.path, revision=revision, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise LaminiError(
            f"{initial.path}: no {job.architecture} model could be loaded ({error})"
        ) from error
    location = job.tokenizer
    tokenizer = load_tokenizer(location.path, location.revision, pad_token=job.pad_token)
    if job.chat is None:
        tokenizer.chat_template = chat_template(tokenizer, job.prompt_format)
    else:
        export_chat(tokenizer, job.chat)
    if causal:
        tokenizer.padding_side = "right"
    else:  # generation must start with the same token as training
        model.generation_config.decoder_start_token_id = start_token(model)
    # BART forces BOS as the first generated token; our targets have none, so unset it.
    model.generation_config.forced_bos_token_id = None
    add_rows(model, len(tokenizer))
    if job.recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model, tokenizer
