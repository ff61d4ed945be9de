"""Tokenization of a mixture into a token cache.

Prompt and response are tokenized separately, so that no BPE merge crosses their boundary: a prompt
has the same tokens in training and at inference. With a chat template, the whole conversation is
tokenized, and a pair whose prompt has other tokens in it is left out. Masked thoughts are part of
the prompt, which is not trained on. Length limits belong to the
recipes and are applied in training, so that all models of a tokenizer share one cache.
"""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from lamini.arrays import Integers
from lamini.conversations import conversation_of
from lamini.errors import LaminiError
from lamini.files import atomic_writer, sha256_file, write_folder_manifest, write_jsonl
from lamini.log import Progress
from lamini.settings.params.students import TokenizePairs
from lamini.students.chat import ChatFormat, chat_format, check_conversations
from lamini.students.prompt_tokens import PromptTokenizer
from lamini.students.token_cache import BOUNDARIES, CONVERSATIONS, TOKENS, UNUSABLE
from lamini.students.tokenizers import load_tokenizer
from lamini.thoughts import split_thoughts

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import TokenizersBackend

logger = logging.getLogger("lamini")
PAIRS_AT_ONCE = 1024
MESSAGES = "messages"
"""Column of the turns of conversations, in datasets that have some."""


def tokenize_pairs(*, dataset: str | Path, manifest: str | Path, settings: TokenizePairs) -> None:
    """Tokenize all pairs of a mixture.

    Args:
        dataset: Parquet file of the mixture (`instruction`, `response`, ...; optionally
            `messages`).
        manifest: path of the `manifest.json` to write; its folder gets the cache.
        settings: tokenizer, padding token (added if the tokenizer has none), prompt format, and
            the mixture's `thinking`.

    Raises:
        LaminiError: when every response is empty, the chat template cannot be used, or there are
            conversations and no chat template.
    """
    location = settings.tokenizer
    tokenizer = load_tokenizer(location.path, location.revision, pad_token=settings.pad_token)
    pairs = _read_pairs(dataset)
    chat = None if settings.chat is None else chat_format(tokenizer, settings.chat)
    has_turns = MESSAGES in pairs.columns
    _check_chat(dataset, chat, has_turns, settings)
    folder = Path(manifest).parent
    folder.mkdir(parents=True, exist_ok=True)
    problems: dict[int, str] = {}
    rows: list[int] = []
    masked = settings.thinking == "mask"
    parts = (
        _tokenized_parts(pairs, tokenizer, settings.prompt_format, masked)
        if chat is None
        else _conversations(pairs, chat, problems, rows, masked)
    )
    token_type = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    boundaries = _write_tokens(folder, parts, token_type, len(pairs))
    count = (len(boundaries) - 1) // 2
    _write_rows(folder, rows if has_turns else None)
    empty = _without_response(pairs, rows)
    if len(empty) == count:
        raise LaminiError(f"{dataset}: none of its {len(pairs)} pairs has a response")
    unusable = problems | dict.fromkeys(empty, "empty_response")
    if len(unusable) == count:
        raise LaminiError(f"{dataset}: the chat template fits none of its {len(pairs)} pairs")
    _write_unusable(folder, unusable)
    write_folder_manifest(
        folder,
        {
            "pairs": count,
            **({"conversations": len(pairs)} if has_turns else {}),
            "unusable": len(unusable),
            "dataset_sha256": sha256_file(dataset),
            "prompt_format": settings.prompt_format,
            **({"chat_template": chat.template} if chat else {}),
            "tokenizer": location.as_params(),
            "token_type": token_type.name,
            "vocabulary": len(tokenizer),
            "eos_token_id": chat.end if chat else tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "prompt_tokens": _length_statistics(np.diff(boundaries)[0::2]),
            "response_tokens": _length_statistics(np.diff(boundaries)[1::2]),
        },
    )


def _read_pairs(dataset: str | Path) -> pl.DataFrame:
    """Instructions and responses, and the conversations if the dataset has some."""
    schema = pl.read_parquet_schema(dataset)
    columns = [name for name in ("instruction", "response", MESSAGES) if name in schema]
    return pl.read_parquet(dataset, columns=columns)


def _check_chat(
    dataset: str | Path, chat: ChatFormat | None, conversations: bool, settings: TokenizePairs
) -> None:
    """Refuse conversations without a chat template, or with one that can't have them."""
    if chat is not None:
        check_conversations(chat, turns=conversations, thoughts=settings.thinking is not None)
    elif conversations:
        raise LaminiError(
            f"{dataset}: has conversations, but tokenizer {settings.tokenizer.path} has"
            f" prompt_format: {settings.prompt_format}; they need prompt_format: chat"
        )


def _write_tokens(
    folder: Path, parts: Iterator[list[list[int]]], token_type: np.dtype, pairs: int
) -> Integers:
    """Write all token ids, and where each prompt and response begins.

    Args:
        folder: folder of the cache.
        parts: token ids of prompt, response, prompt, response ...
        token_type: integer type of the ids.
        pairs: number of rows of the dataset, for the progress.

    Returns:
        The boundaries. Shape (2 * pairs + 1,).
    """
    lengths: list[Integers] = []
    with atomic_writer(folder / TOKENS, "wb") as handle, Progress(pairs, "pairs") as progress:
        for part in parts:
            lengths.append(np.fromiter(map(len, part), np.int64, len(part)))
            ids = itertools.chain.from_iterable(part)
            handle.write(np.fromiter(ids, token_type, int(lengths[-1].sum())).tobytes())
            progress.advance(min(PAIRS_AT_ONCE, pairs - progress.done))
    boundaries = np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
    with atomic_writer(folder / BOUNDARIES, "wb") as handle:
        np.save(handle, boundaries)
    return boundaries


def _write_rows(folder: Path, rows: list[int] | None) -> None:
    """Write the row of each pair of conversations; None: the dataset has none."""
    if rows is None:
        (folder / CONVERSATIONS).unlink(missing_ok=True)  # of an earlier dataset
        return
    with atomic_writer(folder / CONVERSATIONS, "wb") as handle:
        np.save(handle, np.array(rows, np.int64))


def _without_response(pairs: pl.DataFrame, rows: list[int]) -> list[int]:
    """Numbers of the pairs whose row has an empty response.

    Args:
        pairs: rows of the dataset.
        rows: the row of each pair of conversations.
    """
    empty = (pairs["response"].str.strip_chars() == "").fill_null(True)
    if MESSAGES in pairs.columns:
        return np.flatnonzero(empty.to_numpy()[rows]).tolist()
    return empty.arg_true().to_list()


def _write_unusable(folder: Path, unusable: dict[int, str]) -> None:
    """Write the pairs that cannot be trained on, with the reasons, and warn about them."""
    path = folder / UNUSABLE
    write_jsonl(path, ({"pair": pair, "reason": unusable[pair]} for pair in sorted(unusable)))
    empty = sum(reason == "empty_response" for reason in unusable.values())
    if empty:
        logger.warning("%d pairs have no response; listed in %s", empty, path)
    if len(unusable) > empty:
        logger.warning(
            "%d pairs are left out, because the text of a control token is in their response, or"
            " the chat template gives their prompt other tokens in the conversation; listed in %s",
            len(unusable) - empty,
            path,
        )


def _tokenized_parts(
    pairs: pl.DataFrame, tokenizer: "TokenizersBackend", prompt_format: str, masked: bool
) -> Iterator[list[list[int]]]:
    """Token ids of prompt, response, prompt, response ..., `PAIRS_AT_ONCE` pairs per list.

    Prompts get the tokenizer's special tokens (T5's end token, LLaMA's begin token), as at
    inference. Responses get only the end token. Text in a response that looks like a special token
    is tokenized as text, so that no response ends early.
    """
    backend = tokenizer.backend_tokenizer
    prompts = PromptTokenizer(tokenizer, prompt_format)
    end = tokenizer.eos_token_id
    for part in pairs.iter_slices(PAIRS_AT_ONCE):
        tokenized = prompts.tokenize(part["instruction"].fill_null("").to_list())
        responses = part["response"].fill_null("").to_list()
        if masked:
            tokenized, responses = _with_masked_thoughts(tokenized, responses, backend)
        backend.encode_special_tokens = True
        encoded = backend.encode_batch_fast(responses, add_special_tokens=False)
        yield [
            ids
            for prompt, response in zip(tokenized, encoded, strict=True)
            for ids in (prompt, _ended(response.ids, end))
        ]


def _conversations(
    pairs: pl.DataFrame,
    chat: ChatFormat,
    problems: dict[int, str],
    rows: list[int],
    masked: bool,
) -> Iterator[list[list[int]]]:
    """Token ids as `_tokenized_parts` gives them, from a chat template: a pair for each answer.

    Args:
        pairs: instructions and responses, or conversations.
        chat: the template.
        problems: gets the reason of each pair that cannot be trained on, by its number.
        rows: gets the row of each pair.
        masked: whether thoughts are not trained on.
    """
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = pairs[start : start + PAIRS_AT_ONCE]
        texts = (part[column].fill_null("").to_list() for column in ("instruction", "response"))
        conversations = [conversation_of(pair) for pair in zip(*texts, strict=True)]
        if MESSAGES in part.columns:
            known = part[MESSAGES].to_list()
            conversations = [a or b for a, b in zip(known, conversations, strict=True)]
        tokenized = chat.tokenize_turns(conversations, masked=masked)
        ids: list[list[int]] = []
        for row, answers in enumerate(tokenized, start=start):
            for pair in answers:
                if pair.problem is not None:
                    problems[len(rows)] = pair.problem
                rows.append(row)
                ids += [pair.prompt, pair.response]
        yield ids


def _with_masked_thoughts(
    prompts: list[list[int]], responses: list[str], backend: "Tokenizer"
) -> tuple[list[list[int]], list[str]]:
    """Prompts with the thoughts of the responses behind them, and the answers alone."""
    answers = [split_thoughts(response)[0] for response in responses]
    thoughts = [text.removesuffix(own) for text, own in zip(responses, answers, strict=True)]
    backend.encode_special_tokens = True
    encoded = backend.encode_batch_fast(thoughts, add_special_tokens=False)
    return [[*ids, *more.ids] for ids, more in zip(prompts, encoded, strict=True)], answers


def _ended(ids: list[int], end: int) -> list[int]:
    """Ids with one end token, the last id; T5's pieces also include `</s>` as plain text."""
    return [*(ids if end not in ids else [i for i in ids if i != end]), end]


def _length_statistics(lengths: Integers) -> dict[str, float]:
    """Total, mean and quantiles of token counts."""
    quantiles = np.quantile(lengths, [0.5, 0.99], method="lower")
    return {
        "total": int(lengths.sum()),
        "mean": round(float(lengths.mean()), 3),
        "median": int(quantiles[0]),
        "p99": int(quantiles[1]),
        "longest": int(lengths.max()),
    }
