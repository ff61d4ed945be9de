"""When two instructions count as the same."""

import hashlib
import unicodedata


def normalized(text: str) -> str:
    """NFKC, case folded, white space collapsed: equal results mean exact duplicates."""
    if text.isascii():
        return " ".join(text.lower().split())
    # Folding can undo composition, so the text is composed again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def fingerprint(text: str) -> bytes:
    """16 bytes that stand for a text's normalised form, where millions are to be remembered."""
    encoded = normalized(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=16).digest()
