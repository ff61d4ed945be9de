"""The checks of `make gpu-check` as tests; without a GPU they are skipped with a message."""

from collections.abc import Iterator

import pytest
import torch
from gpu_check import CHECKS, run
from gpu_machine import Machine, restored_torch, start

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NO GPU, so nothing here was run on one"
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with restored_torch():
        yield start(tmp_path_factory.mktemp("gpu"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_on_the_gpu(machine: Machine, name: str) -> None:
    rows = run(machine, [name])
    assert rows
    assert not [row for row in rows if row.verdict == "FAILED"]
