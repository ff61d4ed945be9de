"""Folders with a LoRA adapter in peft's format, and the model that adapter and base model make.

The base model, in peft's term, is the student's initialization. The folder names it in
`adapter_config.json`, and has the tokenizer and the generation settings of the trained model.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lamini.files import read_json
from lamini.settings.params.common import Location
from lamini.students.pretrained import add_rows, set_special_tokens

_CONFIG = "adapter_config.json"


def base_of_adapter(folder: str) -> Location | None:
    """Location of the base model of a folder with an adapter; None for any other path."""
    file = Path(folder) / _CONFIG
    if not file.is_file():
        return None
    config = read_json(file)
    return Location(path=config["base_model_name_or_path"], revision=config.get("revision"))


def save_adapter(adapted: Any, tokenizer: Any, folder: Path) -> None:
    """Save an adapter with tokenizer and generation settings.

    Args:
        adapted: peft's model.
        tokenizer: the tokenizer of the trained model.
        folder: folder to write to.
    """
    set_special_tokens(adapted.get_base_model(), tokenizer)
    # Added embedding rows are not saved: `load_with_adapter` makes the same ones.
    adapted.save_pretrained(folder, save_embedding_layers=False)
    adapted.get_base_model().generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_with_adapter(
    load_base: Callable[[torch.dtype], Any], tokenizer: Any, folder: str, dtype: torch.dtype
) -> Any:
    """The base model with a merged adapter, equal to the merged model loaded in this format.

    The sums of weights and updates are computed in fp32 and then rounded.

    Args:
        load_base: loads the base model in a number format.
        tokenizer: the tokenizer of the trained model; the base gets rows for its new tokens.
        folder: folder with the adapter.
        dtype: number format of the weights.
    """
    from peft import PeftModel
    from transformers import GenerationConfig

    model = load_base(torch.float32)
    add_rows(model, len(tokenizer))
    model = PeftModel.from_pretrained(model, folder).merge_and_unload()
    if dtype != torch.float32:
        merged, model = model, load_base(dtype)
        add_rows(model, len(tokenizer))
        model.load_state_dict(merged.state_dict())
    model.generation_config = GenerationConfig.from_pretrained(folder)
    set_special_tokens(model, tokenizer)
    return model
