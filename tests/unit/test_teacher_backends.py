"""A file in `teacher/backends/` is a backend: the settings take its name, and a stage uses it."""

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import echo_backend
import pytest

import lamini.teacher.backends
from lamini.errors import SettingsError
from lamini.settings import teacher as teacher_settings
from lamini.settings.__main__ import generated_texts
from lamini.settings.teacher import Teacher
from lamini.teacher.backend import Backend
from lamini.teacher.backends import kind_of
from lamini.teacher.check import check_endpoints
from lamini.teacher.request import Spend, chat_request
from lamini.teacher.session import open_teacher

RESPONSES = {"responses": {"system_message": "Be brief."}}
SERVER = {"server": {"model_path": "model.gguf", "threads": 7}}
NAMES = ["batch", "external", "local"]


def teacher(backend: str, **changes: object) -> Teacher:
    settings = {"model": "m", "backend": backend, **RESPONSES, **SERVER, **changes}
    return Teacher.model_validate(settings)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of backends beside the package's own."""
    for path in Path(lamini.teacher.backends.__file__).parent.glob("[a-z]*.py"):
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(lamini.teacher.backends, "__path__", [str(tmp_path)])
    monkeypatch.setattr(teacher_settings, "_BACKENDS", tmp_path)
    for name in [*NAMES, "echo", "empty"]:
        monkeypatch.delitem(sys.modules, f"lamini.teacher.backends.{name}", raising=False)
    yield tmp_path
    for name in ("echo", "empty"):
        sys.modules.pop(f"lamini.teacher.backends.{name}", None)


@pytest.fixture
def echo(folder: Path) -> Path:
    """The folder, with one more file."""
    shutil.copy(Path(echo_backend.__file__), folder / "echo.py")
    return folder


def test_the_settings_take_every_backend_and_no_other() -> None:
    with pytest.raises(ValueError, match="backends/ has batch, external, local; did you mean `loc"):
        teacher("locl")


def test_one_more_file_is_one_more_backend(echo: Path) -> None:
    settings = teacher("echo")
    kind = kind_of(settings)
    assert (kind.title, kind.threads(settings), kind.gpus(settings)) == ("echo", 3, 0)
    schema = json.loads(next(iter(generated_texts().values())))
    backend = schema["$defs"]["Teacher"]["properties"]["backend"]
    assert backend["enum"] == ["batch", "echo", "external", "local"]
    assert "`batch` or `echo` or `external` or `local`" in list(generated_texts().values())[1]


def test_its_answers_are_paid_written_and_taken_again(echo: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "shard.ledger.jsonl"
    prices = {"m": {"prompt": 1e6, "completion": 2e6}}
    settings = teacher("echo", prices=prices)
    texts = [f"Question {number}" for number in range(50)]

    def ask() -> tuple[list[str], Spend]:
        requests = (
            chat_request("m", [{"role": "user", "content": text}], settings.responses.sampling)
            for text in texts
        )
        with open_teacher(settings, ledger) as session:
            return [answer.text for _, answer in session.ask(requests)], session.spend

    answers, spend = ask()
    assert answers == texts
    assert (spend.answered, spend.from_ledger, spend.dollars) == (50, 0, 50 * (3 + 6))
    answers, spend = ask()
    assert answers == texts
    assert (spend.answered, spend.from_ledger, spend.dollars) == (0, 50, 0)


def test_a_backend_without_endpoints_asks_none_when_a_run_starts(echo: Path) -> None:
    assert [str(verdict) for verdict in check_endpoints(teacher("echo"))] == ["m, echo: ready"]


def test_a_file_without_its_constant_is_named(folder: Path) -> None:
    (folder / "empty.py").write_text("")
    with pytest.raises(SettingsError, match=r"teacher.backend empty: .*/empty.py has no `BACKEND"):
        kind_of(teacher("empty"))


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_keeps_to_the_interface(name: str) -> None:
    backend = kind_of(teacher(name)).load()
    assert issubclass(backend, Backend)
    assert not inspect.isabstract(backend)
    expected = inspect.signature(Backend.__init__).parameters
    assert inspect.signature(backend.__init__).parameters == expected


def test_what_is_known_of_each() -> None:
    settings = {name: teacher(name) for name in NAMES}
    kinds = {name: kind_of(each) for name, each in settings.items()}
    known = {
        name: (
            kind.at_batch_price,
            kind.takes_days,
            kind.asks_endpoints,
            kind.threads(settings[name]),
        )
        for name, kind in kinds.items()
    }
    assert known == {
        "batch": (True, True, True, 1),
        "external": (False, False, True, 1),
        "local": (False, False, False, 7),
    }


def test_what_is_known_of_each_loads_no_client() -> None:
    code = (
        "import sys; from lamini.teacher.backends import batch, external, local;"
        " print([name for name in ('aiohttp', 'numpy', 'uvloop') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_requests_are_pulled_ahead(name: str) -> None:
    """By thousands, or all of them for a batch; by the concurrency if it is larger."""
    for concurrency in (3, 9000):
        settings = teacher(name).model_copy(update={"max_concurrency": concurrency})
        ahead = kind_of(settings).load().look_ahead(settings)
        assert ahead > 10**9 if name == "batch" else ahead == max(4096, concurrency)
