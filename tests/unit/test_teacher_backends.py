"""Every backend of the settings exists and implements the interface."""

import inspect
from typing import get_args

import pytest

from lamini.settings.teacher import Teacher
from lamini.teacher.backends.base import Backend
from lamini.teacher_backends import BACKENDS, kind_of

RESPONSES = {"responses": {"system_message": "Be brief."}}
SERVER = {"server": {"model_path": "model.gguf", "threads": 7}}


def teacher(backend: str) -> Teacher:
    return Teacher.model_validate({"model": "m", "backend": backend, **RESPONSES, **SERVER})


def test_the_settings_take_every_backend_and_no_other() -> None:
    assert set(get_args(Teacher.model_fields["backend"].annotation)) == set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_keeps_to_the_interface(name: str) -> None:
    backend = BACKENDS[name].load()
    assert issubclass(backend, Backend)
    assert not inspect.isabstract(backend)
    expected = inspect.signature(Backend.__init__).parameters
    assert inspect.signature(backend.__init__).parameters == expected


def test_what_is_known_of_each_without_loading_it() -> None:
    known = {
        name: (kind.at_batch_price, kind.takes_days, kind.threads(teacher(name)))
        for name, kind in BACKENDS.items()
    }
    assert known == {
        "external": (False, False, 1),
        "batch": (True, True, 1),
        "local": (False, False, 7),
    }
    assert kind_of(teacher("local")) is BACKENDS["local"]


@pytest.mark.parametrize("name", BACKENDS)
def test_requests_are_pulled_ahead(name: str) -> None:
    """By thousands, or all of them for a batch; by the concurrency if it is larger."""
    for concurrency in (3, 9000):
        settings = teacher(name).model_copy(update={"max_concurrency": concurrency})
        ahead = BACKENDS[name].load().look_ahead(settings)
        assert ahead > 10**9 if name == "batch" else ahead == max(4096, concurrency)
