"""Loading of tokenizers, and training of the demo's own tokenizers.

A trained tokenizer has the type of the original: unigram pieces with special ids as in T5, or
byte-level BPE with one special token as in GPT-2. Training gives the same bytes every time.
"""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lamini.errors import LaminiError
from lamini.files import write_folder_manifest
from lamini.jobs.commits import commit_to_read
from lamini.settings.params.students import TrainTokenizer

if TYPE_CHECKING:
    from transformers import TokenizersBackend

logger = logging.getLogger("lamini")
END_OF_TEXT = "<|endoftext|>"


def load_tokenizer(
    path: str,
    revision: str | None = None,
    pad_token: str | None = None,
    *,
    needs_end: bool = True,
) -> "TokenizersBackend":
    """Load a tokenizer from a folder or the hub, and add a padding token if requested.

    Args:
        path: folder or hub id.
        revision: commit or tag on the hub.
        pad_token: added as the last entry if the tokenizer has no padding token, as in Alpaca's
            training script for LLaMA and in the released LaMini-GPT models.
        needs_end: refuse a tokenizer without an end token, as responses must end.

    Raises:
        LaminiError: when there is no usable tokenizer; the message names the path.
    """
    from transformers import AutoTokenizer, TokenizersBackend

    # Without this check transformers would make an empty tokenizer of the model's class.
    if Path(path).is_dir() and not any(Path(path).glob("*token*")):
        raise LaminiError(f"{path}: has no tokenizer; copy the model's tokenizer.json there")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, revision=commit_to_read(path, revision) or "main"
        )
    except (OSError, ValueError) as error:
        raise LaminiError(f"{path}: no tokenizer could be loaded ({error})") from error
    if not isinstance(tokenizer, TokenizersBackend):
        raise LaminiError(f"{path}: has no fast tokenizer (tokenizer.json); convert it first")
    if needs_end and tokenizer.eos_token_id is None:
        raise LaminiError(f"{path}: the tokenizer has no end token; a response could not end")
    for key in ("is_local", "local_files_only"):  # how it was loaded must not be saved
        tokenizer.init_kwargs.pop(key, None)
    if pad_token is not None and tokenizer.pad_token_id is None:
        tokenizer.add_special_tokens({"pad_token": pad_token})
    return tokenizer


def train_tokenizer(*, dataset: str | Path, manifest: str | Path, settings: TrainTokenizer) -> None:
    """Train a tokenizer on the instructions and responses of a mixture, in their order.

    Args:
        dataset: Parquet file of the mixture.
        manifest: path of the `manifest.json` to write; its folder gets the Hugging Face tokenizer.
        settings: kind and vocabulary size.

    Raises:
        LaminiError: when SentencePiece can't train it, for example because the vocabulary is
            smaller than the number of distinct characters.
    """
    texts = pl.read_parquet(dataset, columns=["instruction", "response"])
    kind = settings.train.kind
    train = _train_t5 if kind == "t5" else _train_gpt2
    tokenizer = train(_each_text(texts), settings.train.vocabulary)
    logger.info("%s tokenizer: %d entries from %d pairs", kind, len(tokenizer), len(texts))
    folder = Path(manifest).parent
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    write_folder_manifest(folder, {"kind": kind, "vocabulary": len(tokenizer), "pairs": len(texts)})


def _each_text(texts: pl.DataFrame) -> Iterator[str]:
    for instruction, response in texts.iter_rows():
        yield instruction
        yield response


def _train_t5(texts: Iterator[str], vocabulary: int) -> Any:
    """Train unigram pieces with SentencePiece; ids as in T5: `<pad>` 0, `</s>` 1, `<unk>` 2."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    from transformers import T5Tokenizer

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts,
            model_writer=written,
            model_type="unigram",
            vocab_size=vocabulary,
            hard_vocab_limit=False,  # a small text may give fewer pieces than requested
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=1,  # several threads would sum scores in a varying order
            max_sentence_length=1 << 20,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise LaminiError(
            f"a T5 tokenizer of {vocabulary} entries can't be made: {error}"
        ) from None
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    model.ParseFromString(written.getvalue())
    return T5Tokenizer(
        vocab=[(piece.piece, piece.score) for piece in model.pieces],
        extra_ids=0,  # sentinel tokens are only used in T5's pretraining
        _spm_precompiled_charsmap=model.normalizer_spec.precompiled_charsmap,
    )


def _train_gpt2(texts: Iterator[str], vocabulary: int) -> Any:
    """Train byte-level BPE; one special token is begin, end and unknown token, as in GPT-2."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Tokenizer

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        # GPT-2's end token is the last entry; the tokenizer class below adds it.
        vocab_size=vocabulary - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    trained = json.loads(bpe.to_str())["model"]
    return GPT2Tokenizer(
        vocab={**trained["vocab"], END_OF_TEXT: len(trained["vocab"])},
        merges=[tuple(merge) for merge in trained["merges"]],  # type: ignore[misc]
    )
