"""Ledgers as one file: replay needs no key, nothing is lost, damage is named."""

import io
import tarfile
from pathlib import Path

import orjson
import pytest
import zstandard
from fake_endpoint import FakeEndpoint

from lamini.errors import LaminiError
from lamini.teacher.__main__ import main
from lamini.teacher.archive import export_ledgers, import_ledgers
from lamini.teacher.ledger import Ledger, packed_path, read_ledger, row_line
from lamini.teacher.packing import pack_ledger
from lamini.teacher.session import open_teacher

from test_teacher_client import KEY, ask_all, prompts, teacher_settings  # isort: skip

NAMES = ("pairs/some/0000.ledger.jsonl", "pairs/some/0001.ledger.jsonl")


@pytest.fixture
def paid(tmp_path, monkeypatch) -> tuple[Path, object]:
    """A results folder with answers to 30 requests in two ledgers, one of them packed."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    results = tmp_path / "paid" / "results"
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint)
        ask_all(settings, results / NAMES[0], 20)
        with open_teacher(settings, results / NAMES[1], [results / NAMES[0]]) as teacher:
            list(teacher.ask(prompts(30)))
    pack_ledger(results / NAMES[0])
    (results / "pairs/some/0000.server.log").write_text(f"{tmp_path} {KEY}")
    return results, settings.model_copy(update={"mode": "replay"})


def replayed(results: Path, settings) -> list[str]:
    with open_teacher(settings, results / NAMES[1], [results / NAMES[0]]) as teacher:
        return [answer.text for _, answer in teacher.ask(prompts(30))]


def test_an_import_into_an_empty_folder_answers_every_request_without_a_key(
    paid, tmp_path, monkeypatch
):
    results, replay = paid
    archive, empty = tmp_path / "ledgers.tar.zst", tmp_path / "clone" / "results"
    assert main(["export", str(archive), "--results", str(results)]) == 0
    monkeypatch.delenv("OPENAI_API_KEY")
    assert main(["import", str(archive), "--results", str(empty)]) == 0
    assert replayed(empty, replay) == [f"answer to {n}" for n in range(30)]
    assert import_ledgers(archive, empty) == {"ledgers": 2, "rows": 30, "added": 0}
    again = tmp_path / "again.tar.zst"
    export_ledgers(empty, again)
    assert again.read_bytes() == archive.read_bytes()
    content = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    assert KEY.encode() not in content and str(tmp_path).encode() not in content


def test_an_import_keeps_newer_rows_of_ledgers(paid, tmp_path):
    results, _ = paid
    archive, newer = tmp_path / "ledgers.tar.zst", tmp_path / "newer"
    export_ledgers(results, archive)
    first = next(read_ledger(results / NAMES[0]))
    ledger = Ledger(newer / NAMES[0])
    own = [first | {"text": "another answer"}, first | {"key": "f" * 32}]
    ledger.append([row_line(row) for row in own])
    with pytest.raises(LaminiError, match="another job"):
        import_ledgers(archive, newer)
    ledger.close()
    assert import_ledgers(archive, newer)["added"] == 29
    rows = list(read_ledger(newer / NAMES[0]))
    assert rows[:2] == own and len(rows) == 21
    assert not packed_path(newer / NAMES[0]).exists(), "a ledger in use is not packed"


def test_fields_that_are_no_part_of_a_row_stay_behind_and_secrets_are_refused(
    tmp_path, monkeypatch
):
    path = tmp_path / NAMES[0]
    ledger = Ledger(path)
    ledger.append([row_line({"key": "a" * 32, "text": "x", "host": "node7"})])
    export_ledgers(tmp_path, tmp_path / "a.tar.zst")
    import_ledgers(tmp_path / "a.tar.zst", tmp_path / "b")
    assert list(read_ledger(tmp_path / "b" / NAMES[0])) == [{"key": "a" * 32, "text": "x"}]
    ledger.append([row_line({"key": "b" * 32, "text": f"your key is {KEY}"})])
    ledger.close()
    monkeypatch.setenv("SOME_API_KEY", KEY)
    with pytest.raises(LaminiError, match=r"row b{32} holds the value of SOME_API_KEY"):
        export_ledgers(tmp_path, tmp_path / "a.tar.zst")
    with pytest.raises(LaminiError, match="no ledgers"):
        export_ledgers(tmp_path / "nowhere", tmp_path / "a.tar.zst")


def rebuilt(archive: Path, change) -> None:
    """Write the archive's members again, as `change` makes them."""
    plain = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    output = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(plain)) as old,
        tarfile.open(fileobj=output, mode="w") as new,
    ):
        for member in old:
            for name, data in change(member.name, old.extractfile(member).read()):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    archive.write_bytes(zstandard.ZstdCompressor().compress(output.getvalue()))


def flipped(data: bytes) -> bytes:
    return data[:500] + bytes([data[500] ^ 1]) + data[501:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, d: [] if n == NAMES[1] else [(n, d)], "0001.ledger.jsonl is missing"),
        (lambda n, d: [] if n == "manifest.json" else [(n, d)], "manifest is missing"),
        (
            lambda n, d: [(n, d if n[0] == "m" else d[d.index(b"\n") + 1 :])],
            "0000.*does not match the manifest",
        ),
        (lambda n, d: [(n, d.replace(b"answer to 7", b"answer to 8"))], "0000.*does not match"),
        (lambda n, d: [(n, d.replace(b'{"key"', b'{"kex"'))], "not ledger rows"),
        (lambda n, d: [(f"../{n}", d)], "is not the path of a ledger"),
        (lambda n, d: [(n, d.replace(b'"format": 1', b'"format": 2'))], "format 2"),
    ],
)
def test_a_changed_archive_is_refused_before_anything_is_written(paid, tmp_path, change, message):
    archive = tmp_path / "ledgers.tar.zst"
    export_ledgers(paid[0], archive)
    rebuilt(archive, change)
    with pytest.raises(LaminiError, match=message):
        import_ledgers(archive, tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def test_a_cut_or_foreign_file_is_refused(paid, tmp_path, capsys):
    archive = tmp_path / "ledgers.tar.zst"
    export_ledgers(paid[0], archive)
    whole = archive.read_bytes()
    pieces = [whole[:size] for size in range(0, len(whole), 97)]
    for data in [*pieces, whole[:-1], flipped(whole), b"no archive", orjson.dumps({})]:
        archive.write_bytes(data)
        assert main(["import", str(archive), "--results", str(tmp_path / "empty")]) == 1
        assert str(archive) in capsys.readouterr().err
    assert not (tmp_path / "empty").exists()
    assert main(["import", str(tmp_path / "none"), "--results", str(tmp_path)]) == 1
