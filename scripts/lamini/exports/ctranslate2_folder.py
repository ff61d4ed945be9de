"""Folders of encoder-decoder students for CTranslate2, by its own converter."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.exports.families import refusal
from lamini.exports.runtimes import import_ctranslate2
from lamini.files import write_folder_manifest
from lamini.settings.exports import CTranslate2Type
from lamini.settings.params.evaluation import ExportCtranslate2

logger = logging.getLogger("lamini")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def export_ctranslate2(*, manifest: str | Path, settings: ExportCtranslate2) -> None:
    """Write a student as a folder of CTranslate2, with its tokenizer.

    Args:
        manifest: path of the `manifest.json` to write; its folder gets the model.
        settings: the student, and the type of the weights.

    Raises:
        LaminiError: if package `ctranslate2` is missing or has no such models.
    """
    import torch

    from lamini.evaluation.models import load_evaluated_model
    from lamini.students.pretrained import save_model

    import_ctranslate2()
    folder = Path(manifest).parent
    model, tokenizer = load_evaluated_model(settings.model, "fp32", torch.device("cpu"))
    if reason := refusal(model.config.model_type, settings.model.architecture):
        raise LaminiError(f"exports: {reason}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as whole:
        save_model(model, tokenizer, Path(whole))  # with a merged adapter
        _convert(model.config, whole, folder, settings.type)
    write_folder_manifest(folder, {"model": settings.model.model, "type": settings.type})
    logger.info("%s: %s", folder, settings.type)


def _convert(config: Any, whole: str, folder: Path, kind: CTranslate2Type) -> None:
    """Convert a saved T5 by CTranslate2's converter.

    The converter scales the decoder's outputs if `tie_word_embeddings` is true. transformers 5 sets
    it for every T5; whether a T5 scales them is in `scale_decoder_outputs` (false in Flan-T5).
    """
    from ctranslate2.converters import TransformersConverter
    from ctranslate2.specs import model_spec

    class Converter(TransformersConverter):  # type: ignore[misc]
        def _load(self) -> Any:
            spec = super()._load()
            scaled = config.scale_decoder_outputs
            spec.decoder.scale_outputs = config.d_model**-0.5 if scaled else model_spec.OPTIONAL
            return spec

    converter = Converter(whole, copy_files=list(_TOKENIZER_FILES))
    converter.convert(str(folder), quantization=kind)
