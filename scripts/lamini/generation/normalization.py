"""Text normalization for exact deduplication of instructions."""

import unicodedata

import xxhash


def normalized(text: str) -> str:
    """NFKC, case-folded, white space collapsed and stripped; duplicates have equal results."""
    if text.isascii():
        # The space is the only printable white space of ASCII.
        if text.isprintable() and "  " not in text:
            return text.strip().lower()
        return " ".join(text.lower().split())
    # Case folding can undo NFKC, so the text is normalized again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def text_key(text: str) -> bytes:
    """Deduplication key: 128-bit xxHash of the normalized text, to keep millions in memory."""
    encoded = normalized(text).encode("utf-8", "surrogatepass")
    return xxhash.xxh3_128_digest(encoded)
