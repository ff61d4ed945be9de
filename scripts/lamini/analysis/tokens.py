"""Token counts with a Hugging Face tokenizer, many texts at once (Table 1)."""

import numpy as np
import pyarrow as pa

from lamini.analysis.words import Integers
from lamini.settings.params import Location
from lamini.students.tokenizers import load_tokenizer


class TokenCounter:
    """Counts the tokens of texts, without special tokens, truncation or padding.

    Args:
        location: location of the tokenizer.

    Raises:
        LaminiError: when the tokenizer is missing or cannot be loaded.
    """

    def __init__(self, location: Location) -> None:
        self._tokenizer = load_tokenizer(location.path, location.revision).backend_tokenizer
        # A tokenizer file may enable truncation or padding, which would change the counts.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, texts: pa.StringArray) -> Integers:
        """Number of tokens of each text."""
        encoded = self._tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        return np.fromiter(map(len, encoded), np.int64, len(encoded))
