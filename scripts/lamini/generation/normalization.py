"""Normalization of texts: the same for exact duplicates and for the words of all analyses."""

import html
import re
import unicodedata
from html.entities import html5

import xxhash

_APOSTROPHES = "\u00b4\u02b9\u02bb\u02bc\u02bd\u2018\u2019\u201b\u2032\u2035\ua78c\uff07"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\u2043\ufe63\uff0d"
# Invisible characters (Unicode's Default_Ignorable_Code_Point): zero-width space, soft hyphen,
# direction marks, variation selectors of emoji. First and last of each range.
_INVISIBLE = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_VARIANTS = {
    **{chr(code): "" for first, last in _INVISIBLE for code in range(first, last + 1)},
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_HYPHENS, "-"),
}
_REPLACED = frozenset(_VARIANTS)
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]*|#[0-9]+|#[xX][0-9A-Fa-f]+);")


def unified(text: str) -> str:
    """Text in which what reads the same is written the same; case and white space stay.

    NFKC; one apostrophe and one hyphen instead of Unicode's variants; no invisible characters; HTML
    entities, such as `&nbsp;`, as their characters (except `&`).
    """
    if "&" in text:
        text = _ENTITY.sub(_entity, text)
    if text.isascii():
        return text
    return _replaced(unicodedata.normalize("NFKC", _replaced(text)))


def _entity(match: re.Match[str]) -> str:
    name = match[0][1:]
    character = html.unescape(match[0]) if name[0] == "#" else html5.get(name, "&")
    return match[0] if "&" in character else character


def _replaced(text: str) -> str:
    """Text with its variants replaced; a search by `re` takes five times as long."""
    for character in _REPLACED.intersection(set(text)):
        text = text.replace(character, _VARIANTS[character])
    return text


def normalized(text: str) -> str:
    """Unified, case-folded, white space collapsed and stripped; duplicates have equal results."""
    if text.isascii() and "&" not in text:
        # The space is the only printable white space of ASCII.
        if text.isprintable() and "  " not in text:
            return text.strip().lower()
        return " ".join(text.lower().split())
    # Case folding can undo NFKC, so the text is unified again.
    return " ".join(unified(unified(text).casefold()).split())


def text_key(text: str) -> bytes:
    """Deduplication key: 128-bit xxHash of the normalized text, to keep millions in memory."""
    encoded = normalized(text).encode("utf-8", "surrogatepass")
    return xxhash.xxh3_128_digest(encoded)
