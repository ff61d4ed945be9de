"""Personal data in texts, found by their form: addresses, phone numbers, accounts.

Forms with a checksum or a registry are checked (IBAN, card numbers, IP addresses, social security
numbers). What cannot belong to a person is left out: domains reserved for examples, local IP
addresses, phone numbers with an American area code that is not in use. Names and postal
addresses have no form, so they are not found.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lamini.settings.dataset import PERSONAL_KINDS, PersonalKind

_CANDIDATE = (
    r"@|://|\bwww\.|\d(?:[^\pL\pN]{0,2}\d){6}|\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f]:[0-9A-Fa-f]*:"
    r"|[A-Z]{2}\d\d ?[A-Z0-9]{4}"
)
"""RE2 expression with a match in each text that has any of the forms."""
_RESERVED = re.compile(
    r"(?:^|[@.])(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost)$"
)
"""Domains that are reserved and belong to nobody (RFC 2606 and 6761)."""


class PersonalSpan(NamedTuple):
    """One piece of personal data."""

    kind: PersonalKind
    start: int
    end: int


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_mail(text: str) -> bool:
    return not _RESERVED.search(text.lower())


def _is_url(text: str) -> bool:
    host = re.sub(r"^\w+://", "", text.lower()).split("/")[0].split(":")[0].split("?")[0]
    return "." in host and not _RESERVED.search(host)


def _is_iban(text: str) -> bool:
    """ISO 13616: moved by four places and read as a number, the remainder by 97 is 1."""
    plain = text.replace(" ", "")
    number = "".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1


def _is_card(text: str) -> bool:
    """Luhn's checksum, a first digit of a card network, and more than one digit."""
    digits = _digits(text)
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    total = sum(map(int, digits[::-2])) + sum(value - 9 * (value > 9) for value in doubled)
    usual = digits[0] in "3456" and 13 <= len(digits) <= 19
    return usual and total % 10 == 0 and len(set(digits)) > 1


def _is_ssn(text: str) -> bool:
    """A US social security number as they are issued; two famous ones are left out."""
    area, group, serial = text.split("-")
    issued = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return issued and text not in ("123-45-6789", "078-05-1120")


def _is_ip(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_phone(text: str) -> bool:
    digits = _digits(text)
    if text.startswith(("+", "00")):
        number = digits.removeprefix("00")
        american = number[1:] if number.startswith("1") and len(number) == 11 else None
        usual = 8 <= len(number) <= 15
    elif text.startswith("0"):
        return 9 <= len(digits) <= 12 and len(set(digits)) > 2
    else:
        american, usual = digits[-10:], len(digits) in (10, 11)
    if american is None:
        return usual and len(set(digits)) > 2
    area, exchange, last = american[:3], american[3:6], american[6:]
    fictional = area == "555" or (exchange == "555" and last.startswith("01"))
    return usual and area[0] > "1" and exchange[0] > "1" and not fictional


_AFTER = r"(?![\w@]|[-.,/]\d)"
_BEFORE = r"(?<![\w.,/:@#$€£+-])"
_FORMS: dict[PersonalKind, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "url": (
        re.compile(
            r"(?:https?|ftp)://[^\s<>\"'`)\]}]*[\w/]|\bwww\.[\w-]+(?:\.[\w-]+)+(?:/[^\s<>\"')]*\w)?"
        ),
        _is_url,
    ),
    "email": (
        re.compile(r"(?<![\w.+-])[\w](?:[\w.+%'-]*[\w+-])?@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b"),
        _is_mail,
    ),
    "iban": (
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
        _is_iban,
    ),
    # Not the digits of a damaged IBAN.
    "card": (re.compile(rf"{_BEFORE}(?<![A-Z]{{2}}\d\d )\d(?:[ -]?\d){{12,18}}{_AFTER}"), _is_card),
    "ssn": (re.compile(rf"{_BEFORE}\d{{3}}-\d\d-\d{{4}}{_AFTER}"), _is_ssn),
    "ip": (
        re.compile(
            # Four numbers after "version" are no address.
            r"(?<![\w.:])(?<!ersion )(?<!elease )(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w:]|\.\d)"
            r"|(?:[0-9A-Fa-f]{1,4}:){1,7}(?::|[0-9A-Fa-f]{1,4})(?::?[0-9A-Fa-f]{1,4})*(?![\w:]))"
        ),
        _is_ip,
    ),
    "phone": (
        re.compile(
            _BEFORE
            + r"(?:(?:\+|(?<!\d )00)[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?"
            + r"\d{1,5}(?:[ .-]?\d{2,5}){1,5}"
            + r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.\- ])[2-9]\d\d[.\- ]\d{4}"
            + r"|0[1-9]\d{1,4}[ /-]\d{3,4}(?:[ -]?\d{3,5}))"
            + _AFTER
        ),
        _is_phone,
    ),
}
"""Form and check of each kind; a form that an earlier kind found is not searched again."""


def find_personal_data(
    text: str, kinds: Collection[PersonalKind] = PERSONAL_KINDS
) -> list[PersonalSpan]:
    """Personal data in a text, in their order; nothing is found twice.

    Args:
        text: any text.
        kinds: kinds to search for.
    """
    spans: list[PersonalSpan] = []
    for kind, (form, check) in _FORMS.items():
        for match in form.finditer(text):
            apart = all(match.end() <= span.start or span.end <= match.start() for span in spans)
            if apart and check(match.group()):
                spans.append(PersonalSpan(kind, match.start(), match.end()))
    return sorted((span for span in spans if span.kind in kinds), key=lambda span: span.start)


def mask_personal_data(text: str, kinds: Collection[PersonalKind]) -> str:
    """The text with `[EMAIL]`, `[PHONE]` ... in place of the personal data of some kinds."""
    parts, end = [], 0
    for span in find_personal_data(text, kinds):
        parts += [text[end : span.start], f"[{span.kind.upper()}]"]
        end = span.end
    return "".join([*parts, text[end:]])


def candidates(texts: pa.ChunkedArray | pa.StringArray) -> Iterator[tuple[int, str]]:
    """Yield row and text of those that may have personal data; the others have none."""
    rows = pc.indices_nonzero(pc.match_substring_regex(texts, _CANDIDATE))
    yield from zip(rows.to_pylist(), texts.take(rows).to_pylist(), strict=True)


def masked(texts: pa.ChunkedArray, kinds: Collection[PersonalKind]) -> tuple[pa.ChunkedArray, int]:
    """Texts with their personal data masked, and the number of changed texts."""
    changed = {
        row: new
        for row, text in candidates(texts)
        if (new := mask_personal_data(text, kinds)) != text
    }
    if not changed:
        return texts, 0
    mask = pa.array([row in changed for row in range(len(texts))])
    values = pa.array([changed[row] for row in sorted(changed)], pa.string())
    return pc.replace_with_mask(texts.combine_chunks(), mask, values), len(changed)
