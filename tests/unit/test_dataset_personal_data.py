"""The scan for personal data: a labelled sample of hard cases, counts per source, and the mask."""

import csv
import time
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dataset_merge import merge, pair, params, write_shards

from lamini.analysis.personal_data_counts import count_texts, scan_personal_data
from lamini.dataset.personal_data import (
    candidates,
    find_personal_data,
    mask_personal_data,
)
from lamini.settings.dataset import PERSONAL_KINDS
from lamini.settings.params.analysis import ScanPersonalData

POSITIVE = [
    (
        "email",
        "Write to Anna.Smith+news@mail.uni-koeln.de, please",
        "Anna.Smith+news@mail.uni-koeln.de",
    ),
    ("email", "(o'neil_7@web.co.uk)", "o'neil_7@web.co.uk"),
    ("email", "Contact:info@firma.de.", "info@firma.de"),
    ("email", "mailto:x@y.io?subject=Hi", "x@y.io"),
    ("email", "jürgen.müller@post.at antwortet", "jürgen.müller@post.at"),
    (
        "url",
        "See https://en.wikipedia.org/wiki/Cat_(animal) now.",
        "https://en.wikipedia.org/wiki/Cat_(animal",
    ),
    ("url", '<a href="http://shop.de/a?b=c&d=1">', "http://shop.de/a?b=c&d=1"),
    ("url", "Visit www.bbc.co.uk/news, or call.", "www.bbc.co.uk/news"),
    ("url", "ftp://files.gnu.org/pub/", "ftp://files.gnu.org/pub/"),
    ("url", "http://user@host.com/path", "http://user@host.com/path"),
    ("ip", "ping 8.8.8.8 twice", "8.8.8.8"),
    ("ip", "The host 93.184.216.34, port 80", "93.184.216.34"),
    ("ip", "DNS: 2001:4860:4860::8888", "2001:4860:4860::8888"),
    ("ip", "2a00:1450:4001:0830:0000:0000:0000:200e.", "2a00:1450:4001:0830:0000:0000:0000:200e"),
    ("phone", "Call +49 221 470-3890 today", "+49 221 470-3890"),
    ("phone", "Tel. +1 (212) 736-5000", "+1 (212) 736-5000"),
    ("phone", "(415) 752-3310 is mine", "(415) 752-3310"),
    ("phone", "my number: 415-752-3310.", "415-752-3310"),
    ("phone", "415.752.3310", "415.752.3310"),
    ("phone", "1-800-356-9377", "1-800-356-9377"),
    ("phone", "+447911223456", "+447911223456"),
    ("phone", "Ring 020 7946 0123 or 0221 4703890", "020 7946 0123"),
    ("phone", "0221/4703890", "0221/4703890"),
    ("phone", "0033 1 42 68 53 00", "0033 1 42 68 53 00"),
    ("iban", "IBAN: DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("iban", "NO93 8601 1117 947", "NO93 8601 1117 947"),
    ("iban", "MT84MALT011000012345MTLCAST001S;", "MT84MALT011000012345MTLCAST001S"),
    ("card", "Card 4111 1111 1111 1111 exp 12/27", "4111 1111 1111 1111"),
    ("card", "5500-0055-5555-5559", "5500-0055-5555-5559"),
    ("card", "378282246310005", "378282246310005"),
    ("ssn", "SSN 536-90-4399", "536-90-4399"),
]
"""Kind, text, and what is found in it."""
NEGATIVE = [
    "Meet @anna at 5 p.m. and @ben later",
    "user@example.com and root@localhost are examples",
    "a@b is no address, nor is foo@bar",
    "The ratio is 3:4:5 and std::vector<int>::size_type",
    "import a.b.c; x = d[e:f:g]",
    "https://example.org/page and http://localhost:8080/",
    "http:// is a scheme",
    "Version 1.2.3.4 of the tool, section 10.0.0.1",
    "192.168.1.1 and 127.0.0.1 and 255.255.255.255",
    "999.300.1.2",
    "12:30:45 and 2001:13:05",
    "00:1A:2B:3C:4D:5E is a MAC",
    "Born 1990-05-12, died 2021-01-05",
    "Dates 12.05.1990 and 05/12/1990 and 2021-01-05T10:20:30",
    "Call (555) 123-4567 or 212-555-0199",
    "123-456-7890",
    "Pages 100-200, 300-4000",
    "3.14159265358979 and 0.0000000123",
    "Compute 4154 752 3310 * 2",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
    "1 000 000 000 and 1,000,000,000 and 12 345 678",
    "ISBN 978-3-16-148410-0",
    "ISBN 0-306-40615-2",
    "$4111111111111111",
    "4111 1111 1111 1112 has a wrong digit",
    "0000 0000 0000 0000",
    "9111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 01 has a wrong digit",
    "AB12 CDEF GHIJ KLMN is a key",
    "123-45-6789 is an example",
    "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567",
    "Order no. 20211231-0042 of 2021",
    "commit 3de8229f1e0c and e8c3b32edf5434bc2275fc9bab85f82640a19130",
    "550e8400-e29b-41d4-a716-446655440000",
    "2 + 2 = 4, 5 - 3 = 2, 10-20-30",
    "Latitude 40.7128, longitude -74.0060",
    "The score was 21-19 21-17",
    "1600 1700 1800 1900 2000",
    "Room 0815, flight LH0456",
    "",
]


def found_in(text: str) -> list[tuple[str, str]]:
    return [(piece.kind, text[piece.start : piece.end]) for piece in find_personal_data(text)]


def test_each_form_is_found() -> None:
    missed = [text for kind, text, found in POSITIVE if (kind, found) not in found_in(text)]
    assert len(POSITIVE) == 32 and missed == []
    texts = [text for _, text, _ in POSITIVE]
    assert list(candidates(pa.array(texts))) == list(enumerate(texts))


def test_what_only_looks_like_personal_data_is_left() -> None:
    found = {text: found_in(text) for text in NEGATIVE if found_in(text)}
    assert len(NEGATIVE) == 40 and found == {}


def test_a_form_is_counted_once_and_others_stay() -> None:
    text = "http://user@host.com/path or a.b@c.de, 8.8.8.8"
    assert [f.kind for f in find_personal_data(text)] == ["url", "email", "ip"]
    assert [f.kind for f in find_personal_data(text, ["ip"])] == ["ip"]
    masked_text = "http://user@host.com/path or [EMAIL], [IP]"
    assert mask_personal_data(text, ["email", "ip"]) == masked_text
    assert mask_personal_data(masked_text, ["email", "ip"]) == masked_text
    assert mask_personal_data("Nothing", ["email"]) == "Nothing"
    found = count_texts(pa.array([text, "a@b.de c@d.de", "none", ""]))
    assert found == {"texts": 4, "with_personal_data": 2, "url": 1, "email": 3, "ip": 1}


@given(st.text(alphabet="a1 @.:/-+()0DE89w", max_size=60))
@settings(max_examples=300, deadline=None)
def test_what_is_found_is_a_candidate_and_the_pieces_are_apart(text: str) -> None:
    pieces = find_personal_data(text)
    assert all(a.end <= b.start for a, b in pairwise(pieces))
    if pieces:
        assert [row for row, _ in candidates(pa.array([text]))] == [0]


def test_long_digits_take_no_long_time() -> None:
    before = time.process_time()
    for text in ("1 " * 20_000, "0-" * 20_000, "a." * 20_000 + "@", "1:" * 20_000, "AB12 " * 9_000):
        find_personal_data(text)
    assert time.process_time() - before < 5


def shards(root: Path) -> list[Path]:
    rows = [
        pair("alpaca", 0, instruction="Mail anna@web.de", response="Call +49 221 470-3890"),
        pair("alpaca", 1, instruction="Name a cat", response="See www.cats.org/tom"),
        pair(
            "original_p3", 0, instruction="IBAN DE89370400440532013000", response="x@y.io, z@y.io"
        ),
        pair("original_p3", 1),
    ]
    made = []
    for source in ("alpaca", "original_p3"):
        own = [row for row in rows if row["instruction_source"] == source]
        made += write_shards(root, source, own, 1)
    return made


def test_counts_per_source_and_text(tmp_path: Path) -> None:
    merge(tmp_path, shards(tmp_path), params("alpaca", "original_p3"))
    scan_personal_data(
        manifest=tmp_path / "mix.manifest.json",
        dataset=tmp_path / "mix.parquet",
        personal_data=tmp_path / "found.csv",
        settings=ScanPersonalData(version=1),
    )
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text().splitlines()))
    counted = {
        (row["instruction_source"], row["text"]): (
            row["texts"],
            row["with_personal_data"],
            row["with_personal_data_percent"],
            {kind: int(row[kind]) for kind in PERSONAL_KINDS if row[kind] != "0"},
        )
        for row in rows
    }
    assert counted == {
        ("alpaca", "instruction"): ("2", "1", "50.0", {"email": 1}),
        ("alpaca", "response"): ("2", "2", "100.0", {"phone": 1, "url": 1}),
        ("original_p3", "instruction"): ("2", "1", "50.0", {"iban": 1}),
        ("original_p3", "response"): ("2", "1", "50.0", {"email": 2}),
        ("mix", "instruction"): ("4", "2", "50.0", {"email": 1, "iban": 1}),
        ("mix", "response"): ("4", "3", "75.0", {"email": 2, "phone": 1, "url": 1}),
    }


def test_a_mixture_masks_the_kinds_that_it_names(tmp_path: Path) -> None:
    plain = merge(tmp_path, shards(tmp_path), params("alpaca", "original_p3"))
    assert "mask_personal_data" not in plain["settings"]
    assert "masked" not in plain["sources"]["alpaca"]
    kinds = ["email", "iban"]
    chosen = params("alpaca", "original_p3", mask_personal_data=kinds)
    manifest = merge(tmp_path, shards(tmp_path), chosen)
    frame = pl.read_parquet(tmp_path / "mix.parquet")
    assert frame["instruction"].to_list()[:3] == ["Mail [EMAIL]", "Name a cat", "IBAN [IBAN]"]
    assert frame["response"].to_list()[:3] == [
        "Call +49 221 470-3890",
        "See www.cats.org/tom",
        "[EMAIL], [EMAIL]",
    ]
    assert manifest["settings"]["mask_personal_data"] == kinds
    assert manifest["sources"]["alpaca"]["masked"] == {"instruction": 1}
    assert manifest["sources"]["original_p3"]["masked"] == {"instruction": 1, "response": 1}
    card = (tmp_path / "mix.card.md").read_text(encoding="utf-8")
    assert "personal data, masked as `[EMAIL]` and the like: email, iban." in card
