"""Loading and checking of evaluated models, from a checkpoint, a folder or the hub."""

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lamini.errors import LaminiError
from lamini.files import read_json, sha256_file
from lamini.jobs.commits import commit_to_read
from lamini.prompt_formats import PromptFormat, text_format
from lamini.settings.evaluation import Evaluation
from lamini.settings.params.common import Location
from lamini.settings.params.evaluation import EvaluatedModel
from lamini.students.adapters import base_of_adapter, load_with_adapter
from lamini.students.chat import chat_format
from lamini.students.numerics import DTYPES, Precision, switch_off_faulty_kernels
from lamini.students.tokenizers import load_tokenizer

logger = logging.getLogger("lamini")
_MAX_WEIGHT_SHARE = 0.8
"""Maximum share of a GPU's free memory for weights; activations need the rest."""
PAPER_ENCODER_TOKENS = 2048
"""Maximum input length of an encoder-decoder in protocol `paper`."""
_LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


def manifest_of(evaluated: EvaluatedModel) -> Path | None:
    """Manifest of a model that the pipeline trained or built; None for other models."""
    path = Path(evaluated.path) / "manifest.json"
    return path if path.is_file() else None


def manifest_sha256(evaluated: EvaluatedModel) -> str | None:
    """SHA-256 of the manifest, part of the result's cache key.

    None for a model that the pipeline did not make.
    """
    manifest = manifest_of(evaluated)
    return sha256_file(manifest) if manifest else None


def model_identity(evaluated: EvaluatedModel) -> Any:
    """Value that changes if and only if the model's weights may have changed.

    For a model that the pipeline made: the SHA-256 of its manifest. For another folder: names,
    sizes and modification times of its files. For a hub model: the commit.
    """
    if digest := manifest_sha256(evaluated):
        return digest
    folder = Path(evaluated.path)
    if folder.is_dir():
        files = {file.name: file.stat() for file in sorted(folder.iterdir()) if file.is_file()}
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files.items()]
    return commit_to_read(evaluated.path, evaluated.revision)


def choose_device() -> torch.device:
    """First GPU that this process can use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_evaluated_model(
    evaluated: EvaluatedModel,
    precision: Precision,
    device: torch.device,
    evaluation: Evaluation | None = None,
) -> tuple[Any, Any]:
    """Load a model for evaluation, with its tokenizer.

    Args:
        evaluated: the model to load.
        precision: of the weights.
        device: device that computes.
        evaluation: settings whose protocol is checked before the weights are read; null: no check.

    Raises:
        LaminiError: if the model is missing, damaged, incomplete or of another architecture, does
            not fit the protocol, or does not fit into the memory of the device.
    """
    from transformers.utils.logging import disable_progress_bar

    switch_off_faulty_kernels()
    _check_folder(evaluated)
    if Path(evaluated.path).is_dir():
        disable_progress_bar()  # useful only for downloads; loading a folder is fast
    base = base_of_adapter(evaluated.path)
    source = base or Location(path=evaluated.path, revision=evaluated.revision)
    config = _load_config(evaluated, source)
    tokenizer = load_tokenizer(evaluated.path, evaluated.revision)
    if evaluation is not None:
        check_protocol(evaluated, evaluation, config, tokenizer)

    def load(dtype: torch.dtype) -> Any:
        return _load_weights(evaluated, source, config, dtype)

    try:
        if base is None:
            model = load(DTYPES[precision])
        else:
            model = load_with_adapter(load, tokenizer, evaluated.path, DTYPES[precision])
    except _LOADING_ERRORS as error:
        raise _unloadable(evaluated, error) from error
    _move(model, device, evaluated, precision)
    model.eval()
    logger.info("%s: loaded on %s in %s", evaluated.path, model.device, precision)
    return model, tokenizer


def _load_config(evaluated: EvaluatedModel, source: Location) -> Any:
    """The transformers configuration of a model.

    Raises:
        LaminiError: if it can't be loaded, or is of another architecture.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source.path, revision=_commit(source))
    except _LOADING_ERRORS as error:
        raise _unloadable(evaluated, error) from error
    if bool(config.is_encoder_decoder) == (evaluated.architecture == "decoder-only"):
        raise LaminiError(
            f"models.{evaluated.model}: architecture is {evaluated.architecture}, but"
            f" {source.path} holds a model of type {config.model_type}, which is not"
            f" {evaluated.architecture}"
        )
    return config


def _load_weights(
    evaluated: EvaluatedModel, source: Location, config: Any, dtype: torch.dtype
) -> Any:
    """The model on the CPU.

    Raises:
        LaminiError: if weights are missing.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    causal = evaluated.architecture == "decoder-only"
    loader = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    model, loading = loader.from_pretrained(  # type: ignore[misc]
        source.path, revision=_commit(source), dtype=dtype, config=config, output_loading_info=True
    )
    if missing := sorted(loading["missing_keys"]):
        raise LaminiError(
            f"models.{evaluated.model}: {source.path} lacks {len(missing)} weights of a"
            f" {config.model_type}, for example {missing[0]}, so they would be random; use a"
            " complete copy"
        )
    return model


def _commit(source: Location) -> str:
    return commit_to_read(source.path, source.revision) or "main"


def _move(
    model: Any, device: torch.device, evaluated: EvaluatedModel, precision: Precision
) -> None:
    """Move a model to a device, or spread it over all GPUs if it is too large for one.

    Raises:
        LaminiError: if it does not fit into the memory of the GPUs.
    """
    needed = sum(p.numel() * p.element_size() for p in model.parameters())
    try:
        if (
            device.type == "cuda"
            and needed > _MAX_WEIGHT_SHARE * torch.cuda.mem_get_info(device)[0]
        ):
            spread_over_devices(model)
        else:
            torch.nn.Module.to(model, device)
    except torch.OutOfMemoryError as error:
        raise LaminiError(
            f"models.{evaluated.model}: its weights take {needed / 2**30:.1f} GiB in {precision},"
            " more than the free memory of the GPUs; use larger GPUs, or more of them"
            f" (`models.{evaluated.model}.evaluation_gpus`), or set `evaluation.precision: bf16`"
        ) from error


def prompt_format_of(tokenizer: Any, evaluated: EvaluatedModel) -> PromptFormat | None:
    """Prompt format of a model's requests; None: the bare text.

    Raises:
        LaminiError: if the chat template cannot be used.
    """
    if evaluated.chat is not None:
        return chat_format(tokenizer, evaluated.chat)
    return None if evaluated.prompt_format is None else text_format(evaluated.prompt_format)


def _unloadable(evaluated: EvaluatedModel, error: Exception) -> LaminiError:
    return LaminiError(
        f"models.{evaluated.model}: {evaluated.path} can't be loaded ({error!s:.400}). Without a"
        " network, download the model elsewhere, copy its folder here, and name it under"
        f" `models.{evaluated.model}.weights.folder`"
    )


def check_protocol(
    evaluated: EvaluatedModel, evaluation: Evaluation, config: Any, tokenizer: Any
) -> None:
    """Check that a protocol works with a model that it may not have been designed for.

    Args:
        evaluated: the model.
        evaluation: protocol, and maximum input length of an encoder-decoder.
        config: the model's transformers configuration.
        tokenizer: the model's tokenizer.

    Raises:
        LaminiError: if the encoder would get more tokens than it has positions, or if the tokenizer
            appends an end token to each text, so that no continuation could follow.
    """
    paper = evaluation.protocol == "paper"
    if evaluated.architecture == "encoder-decoder":
        limit = evaluation.max_encoder_tokens or (PAPER_ENCODER_TOKENS if paper else 0)
        positions = _encoder_positions(config)
        if positions is not None and positions < limit:
            origin, remedy = "evaluation.max_encoder_tokens", f"{positions} there"
            if evaluation.max_encoder_tokens is None:
                origin, remedy = "protocol paper", f"`models.{evaluated.model}.protocol: modern`"
            raise LaminiError(
                f"models.{evaluated.model}: its encoder has {positions:,} positions, but {origin}"
                f" sends it up to {limit:,} tokens; set {remedy}"
            )
        return
    if evaluated.chat is not None:  # its template writes the special tokens
        return
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    if paper and whole[0] != bare[0]:
        logger.warning(
            "models.%s: the tokenizer starts each text with %s. Protocol paper does not send this"
            " token, as the authors' harness did not; many models score worse without it. Protocol"
            " modern sends it (`models.%s.protocol`)",
            evaluated.model,
            tokenizer.convert_ids_to_tokens(whole[0]),
            evaluated.model,
        )
    if not paper and whole[-1] != bare[-1]:
        raise LaminiError(
            f"models.{evaluated.model}: the tokenizer ends each text with"
            f" {tokenizer.convert_ids_to_tokens(whole[-1])}, so that no continuation can follow it;"
            " set `add_eos_token` to false in its tokenizer_config.json"
        )


def _encoder_positions(config: Any) -> int | None:
    """Number of positions of an encoder; None if positions are relative, as in T5."""
    text = config.get_text_config(encoder=True)
    for key in ("max_encoder_position_embeddings", "max_position_embeddings"):
        if (positions := getattr(text, key, None)) is not None:
            return int(positions)
    return None


def spread_over_devices(
    model: Any, room: dict[int | str, int] | None = None, folder: str | None = None
) -> None:
    """Distribute consecutive layers of a model over several devices.

    Args:
        model: a model on the CPU.
        room: maximum bytes per device, in order; default: all GPUs, with a balanced load.
        folder: folder for weights on the device `disk`.
    """
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    blocks = list(getattr(model, "_no_split_modules", None) or [])
    room = room or get_balanced_memory(model, no_split_module_classes=blocks)
    device_map = infer_auto_device_map(model, room, no_split_module_classes=blocks)
    dispatch_model(model, device_map, offload_dir=folder)


def _check_folder(evaluated: EvaluatedModel) -> None:
    """Refuse a checkpoint with other files than its manifest: an incomplete or damaged copy."""
    manifest = manifest_of(evaluated)
    if manifest is None:
        return
    for name, entry in read_json(manifest)["files"].items():
        file = manifest.parent / name
        if not file.is_file():
            actual, expected = "missing", f"{entry['bytes']} bytes"
        elif file.stat().st_size != entry["bytes"]:
            actual, expected = f"{file.stat().st_size} bytes", f"{entry['bytes']} bytes"
        else:
            actual, expected = f"SHA-256 {sha256_file(file)}", f"SHA-256 {entry['sha256']}"
        if actual != expected:
            raise LaminiError(
                f"{file}: {actual}, but its manifest says {expected}; remove {manifest} and run"
                " again, or copy the folder again"
            )
