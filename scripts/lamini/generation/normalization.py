"""When two instructions count as the same."""

import unicodedata

import xxhash


def normalized(text: str) -> str:
    """NFKC, case folded, white space collapsed: equal results mean exact duplicates."""
    if text.isascii():
        # Of what can be printed in ASCII, the space alone is white.
        if text.isprintable() and "  " not in text:
            return text.strip().lower()
        return " ".join(text.lower().split())
    # Folding can undo composition, so the text is composed again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def fingerprint(text: str) -> bytes:
    """16 bytes that stand for a text's normalised form, where millions are to be remembered."""
    encoded = normalized(text).encode("utf-8", "surrogatepass")
    return xxhash.xxh3_128_digest(encoded)
