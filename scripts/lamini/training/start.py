"""The model that a run starts from."""

import logging
from typing import Any

import torch

from lamini.errors import LaminiError
from lamini.forward.own import start_token
from lamini.students.chat_template import chat_template
from lamini.students.tokenizers import load_tokenizer
from lamini.training.job import TrainingJob

logger = logging.getLogger("lamini")


def load_start(job: TrainingJob) -> tuple[Any, Any]:
    """The initial model in fp32 and the tokenizer, fitted to each other.

    Raises:
        LaminiError: when the weights can't be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    causal = job.architecture == "decoder-only"
    loader = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    place = job.initialization
    try:
        model = loader.from_pretrained(
            place.path, revision=place.revision or "main", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise LaminiError(
            f"{place.path}: no {job.architecture} model could be loaded ({error})"
        ) from error
    tokenizer = load_tokenizer(**job.tokenizer.as_params(), pad_token=job.pad_token)
    tokenizer.chat_template = chat_template(tokenizer, job.prompt_format)
    if causal:
        tokenizer.padding_side = "right"
    else:  # generation starts as training does
        model.generation_config.decoder_start_token_id = start_token(model)
    # BART's family is made to begin with this token; the responses that it learns here do not.
    model.generation_config.forced_bos_token_id = None
    add_rows(model, len(tokenizer))
    if job.recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model, tokenizer


def add_rows(model: Any, vocabulary: int) -> None:
    """Give new tokens, such as GPT-2's `[PAD]`, rows that are the mean of the old ones.

    As Alpaca's `smart_tokenizer_and_embedding_resize` does, and so as the released LaMini-GPT
    checkpoints (50,258 rows) were made. A model with more rows than tokens (T5's 32,128 for 32,100)
    keeps them.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary <= rows:
        return
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.weight[rows:] = layer.weight[:rows].mean(dim=0, keepdim=True)
    logger.info("%d rows added to the embeddings, now %d", vocabulary - rows, vocabulary)
