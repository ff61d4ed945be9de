"""Tokens of many texts: their number by a Hugging Face tokenizer (Table 1), and those of MATTR."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamini.analysis.mattr import Cutter
from lamini.analysis.words import word_hashes
from lamini.arrays import Hashes, Integers
from lamini.settings.dataset import MattrTokens
from lamini.settings.params.common import Location
from lamini.students.tokenizers import load_tokenizer


class TokenCounter:
    """Counts the tokens of texts, without special tokens, truncation or padding.

    Args:
        location: location of the tokenizer.

    Raises:
        LaminiError: when the tokenizer is missing or cannot be loaded.
    """

    def __init__(self, location: Location) -> None:
        loaded = load_tokenizer(location.path, location.revision, needs_end=False)
        self._tokenizer = loaded.backend_tokenizer
        # A tokenizer file may enable truncation or padding, which would change the counts.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, texts: pa.StringArray) -> Integers:
        """Number of tokens of each text."""
        encoded = self._tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        return np.fromiter(map(len, encoded), np.int64, len(encoded))

    def ids(self, texts: pa.StringArray) -> tuple[Hashes, Integers]:
        """Token ids of texts, one text after another, and the start of each text's ids."""
        encoded = self._tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        starts = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=starts[1:])
        ids = (token for text in encoded for token in text.ids)
        return np.fromiter(ids, np.uint64, int(starts[-1])), starts


def mattr_cutter(kind: MattrTokens, counter: TokenCounter, *, lower: bool) -> Cutter:
    """Return the function that cuts texts into the tokens that MATTR counts as words.

    Args:
        kind: `Analysis.mattr_tokens`.
        counter: tokenizer of `subwords`.
        lower: whether texts are lower-cased first.
    """
    if kind == "subwords":
        return lambda texts: counter.ids(pc.utf8_lower(texts) if lower else texts)
    return partial(word_hashes, punctuation=kind == "words_and_punctuation", lower=lower)
