"""The stand-in of the web serves what `downloads` names, whole or in parts, with its checksum."""

from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml
from hub_data import ROOT, read_rows
from web import Web, files

from lamini.generation.download import download_file
from lamini.settings.params.generation import DownloadFile


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(files()) as served:
        yield served


def test_every_download_of_the_configuration_arrives(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = yaml.safe_load((ROOT / "config/sources.yaml").read_text())["downloads"]
    served = web.overlay()["downloads"]
    assert set(served) == set(named)
    for name, settings in served.items():
        download_file(file=name, settings=DownloadFile(**settings))
        assert Path(name).read_bytes() == web.contents[name]
    assert web.refused == []


def test_a_part_can_be_asked_for_and_other_files_are_named(web: Web) -> None:
    name, content = next(iter(web.contents.items()))
    part = Request(f"{web.address}/{name}", headers={"Range": "bytes=100-"})
    with urlopen(part) as answer:
        assert (answer.status, answer.read()) == (206, content[100:])
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{web.address}/other.gz")
    assert web.refused == ["/other.gz"]


def test_the_instructions_have_the_ids_that_the_exclusions_name(tmp_path: Path) -> None:
    place = tmp_path / "instructions.jsonl"
    place.write_bytes(files()["user_oriented_instructions.jsonl"])
    known = [row["id"] for row in read_rows(place)]
    lines = (ROOT / "config/user_oriented_exclusions.csv").read_text().splitlines()[1:]
    assert len(known) == len(set(known)) == 252
    assert {line.partition(",")[0] for line in lines} <= set(known)
