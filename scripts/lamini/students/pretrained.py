"""Models that the pipeline builds itself: random weights, or the weights of a GGUF file.

Both are written as Hugging Face folders (configuration, safetensors, tokenizer), so that they load
like a pretrained model from the hub.
"""

import copy
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import derive_seed, read_json, resolve_path, write_folder_manifest, write_json
from lamini.settings.params.common import Location
from lamini.settings.params.students import BuildModel
from lamini.students.tokenizers import load_tokenizer

logger = logging.getLogger("lamini")


def build_model(*, manifest: str | Path, settings: BuildModel) -> None:
    """Build a model and write its folder.

    Args:
        manifest: path of the `manifest.json` to write; its folder gets the model.
        settings: kind of the weights, and the seed of random weights.
    """
    build, folder = settings.build, Path(manifest).parent
    folder.mkdir(parents=True, exist_ok=True)
    if build.kind == "random":
        assert settings.tokenizer is not None
        model, tokenizer = random_model(
            build.config, settings.architecture, settings.tokenizer, settings.seed
        )
    else:
        assert build.path is not None
        model, tokenizer = gguf_model(resolve_path(build.path))
    save_model(model, tokenizer, folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    logger.info("%s weights: %s parameters", build.kind, f"{parameters:,}")
    write_folder_manifest(
        folder,
        {"kind": build.kind, "parameters": parameters, "architecture": settings.architecture},
    )


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save weights, configuration, generation settings and tokenizer as one Hugging Face folder.

    transformers 5 writes `tie_word_embeddings: true` also for a T5 with a separate output head
    (Flan-T5), and version 4 would then drop the head without a warning. The value is therefore
    corrected after saving.
    """
    set_special_tokens(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = read_json(folder / "config.json")
    shared = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    config["tie_word_embeddings"] = shared
    write_json(folder / "config.json", config)
    for weights in folder.glob("*.safetensors"):  # safetensors lets only the owner read them
        shutil.copymode(folder / "config.json", weights)


def set_special_tokens(model: Any, tokenizer: Any) -> None:
    """Set the end and padding token of a model's settings to those of its tokenizer."""
    for settings in (model.config, model.generation_config):
        settings.eos_token_id = tokenizer.eos_token_id
        settings.pad_token_id = tokenizer.pad_token_id


def add_rows(model: Any, vocabulary: int) -> None:
    """Add embedding rows for new tokens, such as GPT-2's `[PAD]`: the mean of the old rows.

    Alpaca's `smart_tokenizer_and_embedding_resize` does the same, and the released LaMini-GPT
    checkpoints (50,258 rows) were made that way. A model with more rows than tokens (T5: 32,128 for
    32,100) is not changed.

    Args:
        model: a Hugging Face model.
        vocabulary: number of tokens of the tokenizer.
    """
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary <= rows:
        return
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.weight[rows:] = layer.weight[:rows].mean(dim=0, keepdim=True)
    logger.info("%d rows added to the embeddings, now %d", vocabulary - rows, vocabulary)


def random_model(
    fields: Mapping[str, object], architecture: str, tokenizer_location: Location, seed: int
) -> tuple[Any, Any]:
    """A model with seeded random weights, and its tokenizer.

    Args:
        fields: `model_type` and fields of that type's Hugging Face configuration.
        architecture: `encoder-decoder` or `decoder-only`.
        tokenizer_location: location of the tokenizer, which sets vocabulary size and special ids.
        seed: seed of the weights.

    Raises:
        LaminiError: when the fields are no configuration of this architecture.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    tokenizer = load_tokenizer(tokenizer_location.path, tokenizer_location.revision)
    special = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    if architecture == "encoder-decoder":  # T5 starts its decoder with the padding token
        special["decoder_start_token_id"] = tokenizer.pad_token_id
    maker = AutoModelForSeq2SeqLM if architecture == "encoder-decoder" else AutoModelForCausalLM
    torch.manual_seed(derive_seed("build_model", seed))
    try:
        config = AutoConfig.for_model(**{**special, **fields})
        model = maker.from_config(config, dtype=torch.float32)
    except (TypeError, ValueError) as error:
        raise LaminiError(
            f"weights.build.config: no {architecture} model can be made from {fields}: {error}"
        ) from error
    if fields.get("tie_word_embeddings") is False:
        separate_head(model)
    return model, tokenizer


def separate_head(model: Any) -> None:
    """Replace an output head that is tied to the embedding by a separate one, with random weights.

    transformers 5 ties T5's head to its embedding and ignores `tie_word_embeddings`, unless a
    checkpoint contains a head with other values.
    """
    import torch

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight is embedding.weight:
        # T5's initialization of a separate head: unit-variance states give unit-variance logits.
        drawn = torch.randn_like(head.weight) * head.weight.shape[1] ** -0.5
        head.weight = torch.nn.Parameter(drawn)


def gguf_model(path: Path) -> tuple[Any, Any]:
    """The model of a GGUF file, dequantized to fp32, and its tokenizer.

    transformers loads a GGUF file as a quantized model that can be neither saved nor trained. Its
    weights are therefore copied into a new model of the same configuration.

    Raises:
        LaminiError: when the file is missing, or transformers can't read it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not path.is_file():
        raise LaminiError(f"{path}: no such GGUF file")
    source: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    try:
        loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        # Save and reload, so that the tokenizer's settings do not contain the path of the file.
        with tempfile.TemporaryDirectory() as folder:
            AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
            tokenizer = load_tokenizer(folder)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise LaminiError(f"{path}: transformers can't read this GGUF file ({error})") from error
    config = copy.deepcopy(loaded.config)
    config.__dict__.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    return model, tokenizer
