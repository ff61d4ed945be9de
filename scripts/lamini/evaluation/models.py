"""The models that are asked: loaded from a checkpoint, a folder or the hub, or refused clearly."""

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lamini.errors import LaminiError
from lamini.files import read_json, sha256_file
from lamini.settings.evaluation import Evaluation
from lamini.settings.params import AskedModel
from lamini.students.numerics import Precision, switch_off_faulty_kernels
from lamini.students.tokenizers import load_tokenizer

logger = logging.getLogger("lamini")
_FILLED = 0.8
"""Share of a GPU's free memory that weights may take; what is computed needs the rest."""
PAPER_ENCODER_TOKENS = 2048
"""Longest input of an encoder-decoder in the protocol `paper`."""
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def manifest_sha256(asked: AskedModel) -> str | None:
    """The hash of a model's manifest: what it stands for is part of what is measured.

    None for a model that the pipeline did not make.
    """
    return sha256_file(asked.manifest) if asked.manifest else None


def model_identity(asked: AskedModel) -> Any:
    """What changes when a model's weights do.

    Of a model that the pipeline made, its manifest's hash; of another folder, the files' names,
    sizes and times; of the hub, the commit.
    """
    if asked.manifest:
        return manifest_sha256(asked)
    folder = Path(asked.path)
    if folder.is_dir():
        files = {file.name: file.stat() for file in sorted(folder.iterdir()) if file.is_file()}
        return [[name, facts.st_size, facts.st_mtime_ns] for name, facts in files.items()]
    return _commit(asked.path, asked.revision)


def _commit(repo: str, revision: str | None) -> str | None:
    """The commit on the hub that a branch or tag stands for now; null when it can't be asked."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        file = cached_file(repo, "config.json", revision=revision or "main")
    except OSError:  # loading the model fails too, and says why
        return None
    return extract_commit_hash(file, None)


def choose_device() -> torch.device:
    """The first GPU that this job may use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_model(
    asked: AskedModel,
    precision: Precision,
    device: torch.device,
    evaluation: Evaluation | None = None,
) -> tuple[Any, Any]:
    """The model, ready to be asked, and its tokenizer.

    Args:
        asked: which model.
        precision: of the weights.
        device: where it computes.
        evaluation: settings whose protocol is checked before the weights are read; null: none are.

    Raises:
        LaminiError: when there is none, it is damaged or incomplete, its architecture is another,
            the protocol does not fit it, or the device's memory does not hold it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.utils.logging import disable_progress_bar

    switch_off_faulty_kernels()
    _check_folder(asked)
    if Path(asked.path).is_dir():
        disable_progress_bar()  # a bar is for downloads, which take longer than loading
    revision = asked.revision or "main"
    causal = asked.architecture == "decoder-only"
    loader = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    try:
        config = AutoConfig.from_pretrained(asked.path, revision=revision)
    except _UNREADABLE as error:
        raise _unloadable(asked, error) from error
    if bool(config.is_encoder_decoder) == causal:
        raise LaminiError(
            f"models.{asked.model}: architecture is {asked.architecture}, but {asked.path}"
            f" holds a model of type {config.model_type}, which is not"
        )
    tokenizer = load_tokenizer(asked.path, asked.revision)
    if evaluation is not None:
        check_protocol(asked, evaluation, config, tokenizer)
    try:
        model, found = loader.from_pretrained(  # type: ignore[misc]
            asked.path,
            revision=revision,
            dtype=_TYPES[precision],
            config=config,
            output_loading_info=True,
        )
    except _UNREADABLE as error:
        raise _unloadable(asked, error) from error
    if missing := sorted(found["missing_keys"]):
        raise LaminiError(
            f"models.{asked.model}: {asked.path} lacks {len(missing)} weights of a"
            f" {config.model_type}, such as {missing[0]}; they would be random"
        )
    needed = sum(p.numel() * p.element_size() for p in model.parameters())
    try:
        if device.type == "cuda" and needed > _FILLED * torch.cuda.mem_get_info(device)[0]:
            spread(model)
        else:
            torch.nn.Module.to(model, device)
        model.eval()
    except torch.OutOfMemoryError as error:
        raise LaminiError(
            f"models.{asked.model}: its weights take {needed / 2**30:.1f} GiB in {precision}, more"
            " than the GPUs have free; ask for larger GPUs, or more of them"
            f" (`models.{asked.model}.evaluation_gpus`), or set `evaluation.precision: bf16`"
        ) from error
    logger.info("%s on %s in %s", asked.path, model.device, precision)
    return model, tokenizer


def _unloadable(asked: AskedModel, error: Exception) -> LaminiError:
    return LaminiError(
        f"models.{asked.model}: {asked.path} can't be loaded ({error!s:.400}). Without a"
        " network, download the model elsewhere, copy its folder here, and name it under"
        f" `models.{asked.model}.weights.folder`"
    )


def check_protocol(asked: AskedModel, evaluation: Evaluation, config: Any, tokenizer: Any) -> None:
    """Whether a protocol can be used with a model that it was perhaps not made for.

    Args:
        asked: the model.
        evaluation: its protocol, and the longest input of an encoder-decoder.
        config: of the model, as transformers has it.
        tokenizer: of the model.

    Raises:
        LaminiError: when an encoder would be given more tokens than it has positions, or when each
            text would end in an end token, so that no continuation could follow it.
    """
    paper = evaluation.protocol == "paper"
    if asked.architecture == "encoder-decoder":
        wanted = evaluation.max_encoder_tokens or (PAPER_ENCODER_TOKENS if paper else 0)
        positions = _encoder_positions(config)
        if positions is not None and positions < wanted:
            origin, remedy = "evaluation.max_encoder_tokens", f"{positions} there"
            if evaluation.max_encoder_tokens is None:
                origin, remedy = "protocol paper", f"`models.{asked.model}.protocol: modern`"
            raise LaminiError(
                f"models.{asked.model}: its encoder has {positions:,} positions, but {origin} gives"
                f" it up to {wanted:,} tokens; set {remedy}"
            )
        return
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    if paper and whole[0] != bare[0]:
        logger.warning(
            "models.%s: the tokenizer starts each text with %s, which the authors' harness did not"
            " send and protocol paper does not; many models answer badly without it. Protocol"
            " modern sends it (`models.%s.protocol`)",
            asked.model, tokenizer.convert_ids_to_tokens(whole[0]), asked.model,
        )  # fmt: skip
    if not paper and whole[-1] != bare[-1]:
        raise LaminiError(
            f"models.{asked.model}: the tokenizer ends each text with"
            f" {tokenizer.convert_ids_to_tokens(whole[-1])}, so that no continuation can follow it;"
            " set `add_eos_token` to false in its tokenizer_config.json"
        )


def _encoder_positions(config: Any) -> int | None:
    """How many positions an encoder has; None where they are relative, as in T5."""
    text = config.get_text_config(encoder=True)
    for key in ("max_encoder_position_embeddings", "max_position_embeddings"):
        if (positions := getattr(text, key, None)) is not None:
            return int(positions)
    return None


def spread(model: Any, room: dict[int | str, int] | None = None, folder: str | None = None) -> None:
    """Put consecutive layers of a model on several devices.

    Args:
        model: on the CPU.
        room: bytes that each device may take, in order; default: all GPUs, about as much on each.
        folder: of the weights that go to the device `disk`.
    """
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    blocks = list(getattr(model, "_no_split_modules", None) or [])
    room = room or get_balanced_memory(model, no_split_module_classes=blocks)
    places = infer_auto_device_map(model, room, no_split_module_classes=blocks)
    dispatch_model(model, places, offload_dir=folder)


def _check_folder(asked: AskedModel) -> None:
    """Refuse a folder of ours that is not as its manifest says: a copy that broke off, say."""
    if asked.manifest is None:
        return
    folder = asked.manifest.parent
    for name, facts in read_json(asked.manifest)["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != facts["bytes"]:
            found = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
            raise LaminiError(
                f"{file}: {found}, not {facts['bytes']} bytes as its manifest says; remove"
                f" {asked.manifest} and run again, or copy the folder again"
            )
