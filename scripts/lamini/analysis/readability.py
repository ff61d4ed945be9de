"""Share of texts whose words cannot be read, or only character by character.

Duplicates, contamination and lexical diversity compare words, so they do not see such texts, or see
them less well than English.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from lamini.analysis.columns import CsvRow
from lamini.dataset.manifest import DatasetManifest

COLUMNS = (
    "instruction_source",
    "texts",
    "without_words_percent",
    "cut_by_character_percent",
    "damaged_percent",
)
"""Instructions and responses together. Without words: no letter or digit. Cut by character: a
character of a script without spaces between words. Damaged: a replacement character (U+FFFD) or one
of private use."""
_WORD = r"[\p{L}\p{N}_]"
_NON_ASCII = {
    "cut_by_character_percent": (
        r"[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}"
        r"\p{Tai_Tham}\p{Tai_Viet}\p{Nushu}\p{Tangut}\p{Khitan_Small_Script}\p{Ahom}]"
    ),
    "damaged_percent": r"[\x{FFFD}\p{Co}]",
}


class Readability:
    """Counts a dataset's texts per source."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, source: str, texts: pa.StringArray) -> None:
        """Add texts of one source."""
        counts = self._counts.setdefault(source, Counter())
        counts["texts"] += len(texts)
        counts["without_words_percent"] += len(texts) - _matching(texts, _WORD)
        special = texts.filter(pc.invert(pc.string_is_ascii(texts)))
        for column, pattern in _NON_ASCII.items():
            counts[column] += _matching(special, pattern)

    def rows(self, manifest: DatasetManifest) -> list[CsvRow]:
        """Rows in `COLUMNS`: one per source with texts, and one of all."""
        total = sum(self._counts.values(), Counter[str]())
        named = {**self._counts, manifest.mixture: total}
        return [
            [
                name,
                counts["texts"],
                *(100 * counts[column] / counts["texts"] for column in COLUMNS[2:]),
            ]
            for name, counts in named.items()
            if counts["texts"]
        ]


def _matching(texts: pa.StringArray, pattern: str) -> int:
    """Number of texts with a match of a pattern (RE2)."""
    return pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0
