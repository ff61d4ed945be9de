"""The initial model and tokenizer of a run."""

import logging
from typing import Any

import torch

from lamini.errors import LaminiError
from lamini.forward.own import start_token
from lamini.students.chat_template import chat_template
from lamini.students.tokenizers import load_tokenizer
from lamini.training.job import TrainingJob

logger = logging.getLogger("lamini")


def load_initialization(job: TrainingJob) -> tuple[Any, Any]:
    """The initial model in fp32 and its tokenizer, with matching vocabulary and special tokens.

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
    else:  # generation must start with the same token as training
        model.generation_config.decoder_start_token_id = start_token(model)
    # BART forces BOS as the first generated token; our targets have none, so unset it.
    model.generation_config.forced_bos_token_id = None
    add_rows(model, len(tokenizer))
    if job.recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model, tokenizer


def add_rows(model: Any, vocabulary: int) -> None:
    """Add embedding rows for new tokens, such as GPT-2's `[PAD]`: the mean of the old rows.

    Alpaca's `smart_tokenizer_and_embedding_resize` does the same, and the released LaMini-GPT
    checkpoints (50,258 rows) were made that way. A model with more rows than tokens (T5: 32,128 for
    32,100) is not changed.

    Args:
        model: a Hugging Face model.
        vocabulary: number of tokens of the tokenizer.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary <= rows:
        return
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.weight[rows:] = layer.weight[:rows].mean(dim=0, keepdim=True)
    logger.info("%d rows added to the embeddings, now %d", vocabulary - rows, vocabulary)
