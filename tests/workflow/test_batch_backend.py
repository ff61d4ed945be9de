"""A shard from the Batch API in a real run equals a live one; no request is paid twice."""

import hashlib
from pathlib import Path

import pytest
import yaml
from batch_endpoint import BatchEndpoint

from checkouts import Checkout

PAIRS = "results/pairs/alpaca/0000.jsonl"


def _run(checkout: Checkout, backend: str, endpoint: BatchEndpoint) -> str:
    """Make the shard with a backend; returns its SHA-256."""
    teacher = {
        "backend": backend,
        "endpoints": [{"base_url": endpoint.base_url}],
        "batch": {"poll_seconds": 0.1, "requests_per_file": 15},
    }
    (checkout.folder / f"{backend}.yaml").write_text(yaml.safe_dump({"teacher": teacher}))
    checkout.snakemake("--profile", "demo", PAIRS, *_configuration(backend))
    return hashlib.sha256((checkout.folder / PAIRS).read_bytes()).hexdigest()


def _configuration(backend: str) -> tuple[str, ...]:
    return ("--configfile", "config/demo.yaml", f"{backend}.yaml")


@pytest.mark.slow
def test_the_shard_equals_a_live_one_and_another_backend_sends_nothing(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    ledger = (checkout.folder / PAIRS).with_suffix(".ledger.jsonl")
    with BatchEndpoint() as endpoint:
        made = _run(checkout, "batch", endpoint)
        asked = endpoint.paid.total()
        assert asked == len(ledger.read_bytes().splitlines()) > 15 and len(endpoint.batches) > 1

        (checkout.folder / PAIRS).unlink()
        assert _run(checkout, "external", endpoint) == made
        assert (endpoint.paid.total(), endpoint.live) == (asked, 0), "a request was paid twice"
        planned = checkout.planned_jobs("--profile", "demo", PAIRS, *_configuration("batch"))
        assert not planned, "the backend is not part of a shard's params"

        (checkout.folder / PAIRS).unlink()
        ledger.unlink()
        assert _run(checkout, "external", endpoint) == made
        assert (endpoint.paid.total(), endpoint.live) == (asked, asked)
    assert not _holds(checkout.folder / "results", b"sk-secret-of-the-test")


def _holds(folder: Path, secret: bytes) -> list[Path]:
    """Files that contain a secret."""
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
