"""A run whose teacher cannot answer ends before its first job, with one message."""

from pathlib import Path

import pytest
from fake_endpoint import FakeEndpoint

from checkouts import Checkout

KEY = "sk-secret-of-the-test"
PAIRS = "results/pairs/alpaca/0000.jsonl"


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (401, "the key in OPENAI_API_KEY is refused (401: the endpoint's own words on 401"),
        (
            ["gpt-5.6-terra"],
            "not in its list of 1 model (gpt-5.6-terra), and a request was refused",
        ),
    ],
    ids=("wrong key", "retired model"),
)
def test_a_run_with_a_wrong_teacher_starts_no_job(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, models: int | list[str], message: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FakeEndpoint(models=models, fault=lambda *_: "404") as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url)
        done = checkout.snakemake(
            "--cores", "1", PAIRS, "--configfile", "config/overlays/gpt-3.5-turbo.yaml", check=False
        )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert said.count("The teacher cannot answer; no job was started:") == 1, said[-3000:]
    assert f"  gpt-3.5-turbo at 127.0.0.1:{endpoint.port}: {message}" in said
    assert "Traceback" not in said and KEY not in said
    assert endpoint.lists == 1
    assert not list((checkout.folder / "results").rglob("*.log"))


def test_a_pasted_key_is_written_nowhere(checkout: Checkout) -> None:
    overlay = checkout.folder / "own.yaml"
    overlay.write_text(f"teacher: {{endpoints: [{{api_key_variable: {KEY}}}]}}\n")
    done = checkout.snakemake("--cores", "1", PAIRS, "--configfile", overlay.name, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "teacher.endpoints.0.api_key_variable: not the name of an environment variable" in said
    overlay.unlink()
    assert KEY not in said
    assert not _holding(checkout.folder, KEY.encode())


def _holding(folder: Path, secret: bytes) -> list[Path]:
    """Files that contain a secret, except the tests' own."""
    files = [path for path in folder.rglob("*") if path.is_file() and "tests" not in path.parts]
    return [path for path in files if secret in path.read_bytes()]
