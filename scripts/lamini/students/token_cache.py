"""The tokenized dataset on disk, shared by all models with the same tokenizer and prompt format.

A folder with `tokens.bin` (token ids of all prompts and responses, concatenated), `boundaries.npy`
(their offsets), `unusable.jsonl` (pairs with an empty response) and `manifest.json`. If the dataset
has conversations, each of their answers is a pair, and `conversations.npy` has the dataset's row of
each pair. The arrays are memory-mapped: opening 2.58M pairs takes milliseconds, and reading a pair
is one slice.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from lamini.arrays import Integers
from lamini.errors import LaminiError
from lamini.files import read_json

TOKENS = "tokens.bin"
BOUNDARIES = "boundaries.npy"
CONVERSATIONS = "conversations.npy"
UNUSABLE = "unusable.jsonl"
MANIFEST = "manifest.json"


class TokenCache:
    """Reads tokenized pairs.

    Args:
        folder: a folder written by `tokenize_pairs`.

    Raises:
        LaminiError: when the folder is incomplete or its sizes disagree.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = read_json(self.folder / MANIFEST)
        try:
            self._boundaries = np.load(self.folder / BOUNDARIES, mmap_mode="r")
            token_type = self.manifest["token_type"]
            self._tokens = np.memmap(self.folder / TOKENS, dtype=token_type, mode="r")
        except (OSError, ValueError) as error:
            raise LaminiError(f"{self.folder}: {error}; run tokenize_pairs again") from error
        if (
            len(self._boundaries) != 2 * self.manifest["pairs"] + 1
            or len(self._tokens) != (self._boundaries[-1])
        ):
            raise LaminiError(
                f"{self.folder}: its arrays do not fit its manifest; delete the folder and run"
                " tokenize_pairs again"
            )
        self.prompt_lengths: Integers = np.diff(self._boundaries)[0::2]
        """Tokens of each prompt, special tokens included. Shape (pairs,)."""
        self.response_lengths: Integers = np.diff(self._boundaries)[1::2]
        """Tokens of each response, the end token included. Shape (pairs,)."""
        self.dataset_rows = int(self.manifest.get("conversations", self.manifest["pairs"]))
        """Number of rows of the dataset."""

    def __len__(self) -> int:
        return int(self.manifest["pairs"])

    @functools.cached_property
    def conversations(self) -> Integers:
        """Row of each pair in the dataset. Shape (pairs,)."""
        if "conversations" not in self.manifest:
            return np.arange(len(self))
        return np.load(self.folder / CONVERSATIONS).astype(np.int64)

    def prompt(self, pair: int) -> Integers:
        """Token ids of one prompt. Shape (tokens,)."""
        start, end = self._boundaries[2 * pair : 2 * pair + 2]
        return self._tokens[start:end].astype(np.int64)

    def response(self, pair: int) -> Integers:
        """Token ids of one response with its end token. Shape (tokens,)."""
        start, end = self._boundaries[2 * pair + 1 : 2 * pair + 3]
        return self._tokens[start:end].astype(np.int64)

    def end_to_end(self, pairs: Integers) -> tuple[Integers, Integers]:
        """Token ids of several pairs, and the position of each token in its pair.

        Args:
            pairs: rows of the cache, in the order of the result.

        Returns:
            Prompt and response of each pair, without gaps; and a count from 0 in each pair. Shapes
            (tokens,).
        """
        starts = self._boundaries[2 * pairs]
        lengths = self._boundaries[2 * pairs + 2] - starts
        ends = lengths.cumsum()
        positions = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        return self._tokens[np.repeat(starts, lengths) + positions].astype(np.int64), positions
