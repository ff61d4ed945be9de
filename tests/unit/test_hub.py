"""The stand-in hub answers as the real one does, and names what it does not have."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hub import Hub

COMMIT, MODEL = "0" * 39 + "a", "lab/model"
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)), "data/a/0.parquet": b"1"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as served:
        served.public.add(MODEL, COMMIT, FILES)
        served.public.gated.add("lab/gated")
        yield served


def _get(hub: Hub, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urlopen(Request(f"{hub.address}{path}", headers=headers)) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_a_large_file_comes_from_a_store_also_in_parts(hub: Hub) -> None:
    place = f"/{MODEL}/resolve/{COMMIT}/model.safetensors"
    assert _get(hub, place)[1] == FILES["model.safetensors"]
    status, part, headers = _get(hub, place, Range="bytes=250-")
    assert (status, part) == (206, FILES["model.safetensors"][250:])
    assert headers["Content-Range"] == "bytes 250-255/256"
    assert hub.public.refused == []


@pytest.mark.parametrize(
    ("path", "status", "code", "refused"),
    [
        (f"/{MODEL}/resolve/{COMMIT}/config.json", 200, None, []),
        (f"/{MODEL}/resolve/{COMMIT}/README.md", 404, "EntryNotFound", []),
        (
            f"/{MODEL}/resolve/{COMMIT}/weights.bin",
            404,
            "EntryNotFound",
            [f"weights.bin of {MODEL} at {COMMIT}"],
        ),
        (
            f"/{MODEL}/resolve/main/config.json",
            404,
            "RevisionNotFound",
            [f"{MODEL} at revision main"],
        ),
        (f"/datasets/{MODEL}/resolve/main/a", 401, "RepoNotFound", [f"datasets/{MODEL}"]),
        ("/api/models/lab/other", 401, "RepoNotFound", ["lab/other"]),
        ("/api/models/lab/gated/revision/main", 403, "GatedRepo", []),
    ],
)
def test_an_answer_has_the_hubs_status_and_code(
    hub: Hub, path: str, status: int, code: str | None, refused: list[str]
) -> None:
    found, _, headers = _get(hub, path)
    assert (found, headers.get("X-Error-Code")) == (status, code)
    assert hub.public.refused == refused


def test_a_tree_lists_files_and_folders(hub: Hub) -> None:
    def listed(path: str) -> list[tuple[str, str]]:
        entries = json.loads(_get(hub, f"/api/models/{MODEL}/tree/{COMMIT}{path}")[1])
        return [(entry["type"], entry["path"]) for entry in entries]

    top = [("file", "config.json"), ("directory", "data"), ("file", "model.safetensors")]
    assert listed("?recursive=False") == top
    assert listed("/data") == [("directory", "data/a")]
    assert listed("/data?recursive=True") == [("directory", "data/a"), ("file", "data/a/0.parquet")]
