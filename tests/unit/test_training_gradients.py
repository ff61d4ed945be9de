"""Runs in several processes: the steps of one process, with gradients summed during backward."""

import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import recipe, tiny_cache, tiny_job, tiny_model, tiny_trainer

from lamini.errors import StopRequested
from lamini.students.token_cache import TokenCache
from lamini.training import gradients as gradients_module
from lamini.training.adapter import train_adapter_only
from lamini.training.gradients import GradientSums
from lamini.training.loop import Trainer
from lamini.training.optimization import Optimizer
from lamini.training.ranks import Ranks

STOP_AFTER = 2
LORA = "-lora"
SETTINGS = {"batch_pairs": 36, "epochs": 2, "weight_decay": 0.1, "save_minutes": 1e3}
"""A step of 36 pairs has a packed row for each of three ranks."""


def of_rank(rank: int, world: int) -> Ranks:
    """The ranks of a run, without communication."""
    ranks = Ranks(0)
    ranks.rank, ranks.world = rank, world
    return ranks


def _parameters(*shapes: tuple[int, ...]) -> dict[str, torch.nn.Parameter]:
    return {str(n): torch.nn.Parameter(torch.rand(shape)) for n, shape in enumerate(shapes)}


@pytest.mark.parametrize("world", [2, 3, 8])
def test_pieces_are_all_weights_once_in_equal_parts(
    world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients_module, "BUCKET_ELEMENTS", 20)
    parameters = _parameters((7, 9), (5,), (4, 4), (4,), (10, 2))
    updates = {name: torch.zeros(p.numel()) for name, p in parameters.items()}
    for rank in range(world):
        sums = GradientSums(parameters, of_rank(rank, world), sharded=True)
        size = 0
        for piece in sums.pieces:
            end = piece.start + piece.tensor.numel()
            updates[piece.name][piece.start : end] += 1
            size += piece.tensor.numel()
            whole = parameters[piece.name].detach().flatten()
            assert torch.equal(piece.tensor, whole[piece.start : end])
            assert piece.is_decayed == (parameters[piece.name].ndim > 1)
        buckets = 4  # of 20, 4 + 16, 5 and 63 elements
        assert len(sums._buckets) == buckets
        assert size <= 108 / world + buckets
    assert all((count == 1).all() for count in updates.values())


class Sums:
    """Imitates the communication of a run: remembers the sums, in the order of their start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.waited = 0
        monkeypatch.setattr("torch.distributed.all_reduce", self._start)

    def _start(self, values: torch.Tensor, async_op: bool = False) -> Any:
        self.sizes.append(len(values))
        return SimpleNamespace(wait=self._wait)

    def _wait(self) -> None:
        self.waited += 1


def test_sums_start_during_the_last_backward_pass_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients_module, "BUCKET_ELEMENTS", 8)
    found = Sums(monkeypatch)
    layers = torch.nn.Sequential(*(torch.nn.Linear(n, n, bias=False) for n in (3, 3, 3)))
    sums = GradientSums(dict(layers.named_parameters()), of_rank(0, 2), sharded=False)
    started: list[int] = []
    layers[0].register_full_backward_pre_hook(lambda *_: started.append(len(found.sizes)))
    inputs = torch.rand(2, 3, requires_grad=True)
    layers(inputs).sum().backward()
    assert found.sizes == []
    sums.begin_last_pass()
    layers(inputs).sum().backward()
    assert started == [0, 2], "the last two layers are summed before the first one goes backward"
    assert found.sizes == [9, 9, 9]
    assert found.waited == 0
    sums.start_all()
    assert found.sizes == [9, 9, 9], "nothing was left to start after the backward pass"
    sums.wait()
    assert found.waited == 3
    once = torch.autograd.grad(layers(inputs).sum(), list(layers.parameters()))
    for parameter, gradient in zip(layers.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)


def test_a_rank_without_micro_batches_takes_part_with_zeros(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gradients_module, "BUCKET_ELEMENTS", 8)
    found = Sums(monkeypatch)
    parameters = _parameters((3, 3), (2,), (9,))
    sums = GradientSums(parameters, of_rank(1, 2), sharded=False)
    sums.start_all()
    assert found.sizes == [9, 2, 9]
    sums.wait()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in parameters.values())


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_sharded_run_sums_its_pieces_and_gathers_all_weights(
    rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if all three ranks had the same gradients; their updated weights are 0.0, 1.0 and 2.0."""
    parameters = _parameters((3, 3), (2,))  # 11 elements: two chunks of 4, and 3 with 1 of padding
    chunks = {0: [0.0] * 4, 1: [1.0] * 4, 2: [2.0] * 3 + [0.0]}
    waited = []

    def reduce_scatter(out: torch.Tensor, flat: torch.Tensor, *, async_op: bool) -> Any:
        assert async_op is True, "the backward pass continues during the sum"
        out.copy_(3 * flat.view(3, 4)[rank])
        return SimpleNamespace(wait=lambda: waited.append(1))

    def all_gather(whole: torch.Tensor, chunk: torch.Tensor) -> None:
        assert chunk.tolist() == chunks[rank]
        whole.copy_(torch.tensor([*chunks[0], *chunks[1], *chunks[2]]))

    monkeypatch.setattr("torch.distributed.reduce_scatter_single", reduce_scatter)
    monkeypatch.setattr("torch.distributed.all_gather_single", all_gather)
    sums = GradientSums(parameters, of_rank(rank, 3), sharded=True)
    gradients = {name: torch.rand(p.shape) for name, p in parameters.items()}
    for name, parameter in parameters.items():
        parameter.grad = gradients[name].clone()
    sums.start_all()
    assert all(parameter.grad is None for parameter in parameters.values())
    sums.wait()
    assert waited == [1]
    for piece in sums.pieces:
        own = gradients[piece.name].flatten()[piece.start : piece.start + piece.tensor.numel()]
        torch.testing.assert_close(piece.tensor.grad, 3 * own)
        piece.tensor.fill_(float(rank))
    sums.share_weights()
    # The flat tensor begins with the last parameter.
    weights = torch.cat([parameters["1"], parameters["0"].flatten()]).tolist()
    assert weights == [0.0] * 4 + [1.0] * 4 + [2.0] * 3


def test_moments_of_any_number_of_ranks_are_those_of_one() -> None:
    """Three ranks save, two load: each piece gets its own part of the whole moment."""
    shapes, sharded = ((5, 7), (3,)), recipe(shard_optimizer=True)
    wholes = [torch.rand(shape).flatten() for shape in shapes]
    state: dict[str, torch.Tensor] = {}
    for rank in range(3):
        sums = GradientSums(_parameters(*shapes), of_rank(rank, 3), sharded=True)
        for piece in sums.pieces:
            end = piece.start + piece.tensor.numel()
            moment = wholes[int(piece.name)][piece.start : end]
            key = f"{piece.name}/{piece.start}"
            state |= {f"exp_avg/{key}": moment, f"exp_avg_sq/{key}": moment**2}
            state[f"step/{key}"] = torch.tensor(4.0)
    for rank in range(2):
        optimizer = Optimizer(
            GradientSums(_parameters(*shapes), of_rank(rank, 2), sharded=True), sharded
        )
        optimizer.load(state)
        for key, value in optimizer.state().items():
            moment_name, name, start = key.split("/")
            expected = wholes[int(name)][int(start) :][: value.numel()]
            if moment_name == "step":
                assert value == 4.0
            else:
                assert torch.equal(value, expected ** (2 if moment_name == "exp_avg_sq" else 1))


# --- Whole runs, in three processes that compute several runs, as a process takes long to start.


def _in_process(rank: int, folder: Path, ports: list[int]) -> None:
    torch.use_deterministic_algorithms(True)
    gradients_module.BUCKET_ELEMENTS = 2000
    cache = TokenCache(folder / "cache")
    for (run, (world, part)), port in zip(RUNS.items(), ports, strict=True):
        if rank < world:
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), **place)
            ranks = Ranks(0)
            part(ranks, cache, folder, run)
            ranks.close()


def _whole(ranks: Ranks, cache: TokenCache, folder: Path, run: str) -> None:
    """Train, and save weights, metrics, and the sums left to start after the last backward pass."""
    name, *options = run.split()
    model = tiny_model(name.removesuffix(LORA))
    work = folder / (f"work-{name}" if "resumes" in options else f"work-{run}")
    sharded = "sharded" in options
    settings = SETTINGS | _lora(name)
    trainer = tiny_trainer(model, cache, work, ranks, shard_optimizer=sharded, **settings)
    if "memory" in options and ranks.rank == 1:
        _fail_once(model)
    left = _left_to_start(trainer)
    rows = trainer.run()
    size = sum(value.numel() for value in trainer._optimizer.state().values())
    facts = {"rows": [row.as_json() for row in rows], "left": left, "moments": size}
    (folder / f"{run}-{ranks.rank}.json").write_text(json.dumps(facts))
    torch.save(list(model.state_dict().values()), folder / f"{run}-{ranks.rank}.pt")


def _stopped(ranks: Ranks, cache: TokenCache, folder: Path, run: str) -> None:
    """Train with a sharded optimizer up to a stop signal, which rank 1 gets."""
    name = run.split(maxsplit=1)[0]
    model, work = tiny_model(name.removesuffix(LORA)), folder / f"work-{name}"
    settings = SETTINGS | _lora(name)
    trainer = tiny_trainer(model, cache, work, ranks, shard_optimizer=True, **settings)
    take = trainer.step

    def step(number: int) -> Any:
        if number == STOP_AFTER - 1 and ranks.rank == 1:
            signal.raise_signal(signal.SIGTERM)
        return take(number)

    trainer.step = step  # type: ignore[method-assign]
    with pytest.raises(StopRequested):
        trainer.run()


def _initial(name: str) -> Any:
    model = tiny_model(name.removesuffix(LORA))
    train_adapter_only(tiny_job(model, **_lora(name)), model, "fp32")
    return model


def _lora(name: str) -> dict[str, Any]:
    """Settings of an adapter, for a model whose name asks for one."""
    return {"lora": {"rank": 4}} if name.endswith(LORA) else {}


def _fail_once(model: Any) -> None:
    """Imitate too little memory, in the middle of the third backward pass."""
    calls = []

    def fail(_: torch.Tensor) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("imitated")

    parameters = list(model.parameters())
    parameters[len(parameters) // 2].register_hook(fail)


def _left_to_start(trainer: Trainer) -> list[int]:
    left, sums = [], trainer._gradients
    start_all = sums.start_all

    def counted() -> None:
        left.append(len(sums._buckets) - sums._started)
        start_all()

    sums.start_all = counted  # type: ignore[method-assign]
    return left


Part = Callable[[Ranks, TokenCache, Path, str], None]
RUNS: dict[str, tuple[int, Part]] = {
    f"{name} {run}": (world, part)
    for name in ("gpt2", "t5")
    for run, world, part in (
        ("alone", 1, _whole),
        ("two", 2, _whole),
        ("two sharded", 2, _whole),
        ("two sharded memory", 2, _whole),
        ("three sharded", 3, _whole),
        ("two stopped", 2, _stopped),
        ("three sharded resumes", 3, _whole),
    )
} | {
    f"gpt2{LORA} alone": (1, _whole),
    f"gpt2{LORA} two stopped": (2, _stopped),
    f"gpt2{LORA} three sharded resumes": (3, _whole),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the results of `RUNS`."""
    folder = tmp_path_factory.mktemp("runs")
    tiny_cache(folder / "cache", pairs=112)
    ports = []
    for _ in RUNS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    context = multiprocessing.get_context("spawn")  # autograd works in no forked process
    processes = [
        context.Process(target=_in_process, args=(rank, folder, ports)) for rank in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(900)
        assert process.exitcode == 0
    return folder


def _distance(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    apart = [(a - b).flatten() for a, b in zip(some, others, strict=True)]
    return float(torch.cat(apart).norm())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        tuple(run.split(maxsplit=1))
        for run, (world, part) in RUNS.items()
        if part is _whole and world > 1
    ],
)
def test_several_processes_train_as_one(runs: Path, name: str, options: str) -> None:
    start = list(_initial(name).state_dict().values())
    alone = torch.load(runs / f"{name} alone-0.pt")
    expected = json.loads((runs / f"{name} alone-0.json").read_text())["rows"]
    world = 2 if options.startswith("two") else 3
    for rank in range(world):
        facts = json.loads((runs / f"{name} {options}-{rank}.json").read_text())
        assert len(facts["rows"]) == len(expected) > STOP_AFTER + 3
        for row, one in zip(facts["rows"], expected, strict=True):
            for key in ("loss", "held_out_loss", "gradient_norm"):
                assert row[key] == (None if one[key] is None else pytest.approx(one[key], rel=1e-5))
        # Of all weights together: the gradients of GPT-2's key biases are nothing but rounding.
        weights = torch.load(runs / f"{name} {options}-{rank}.pt")
        assert _distance(weights, alone) < 1e-4 * _distance(alone, start)
        failed = int("memory" in options)
        assert sum(facts["left"]) == 0 or failed, "sums were left after the last backward pass"
        assert len(facts["left"]) == (
            len(expected) - 1 + failed - (STOP_AFTER if "resumes" in options else 0)
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_moments_are_divided_by_the_number_of_ranks(runs: Path, name: str) -> None:
    def moments(run: str, rank: int) -> int:
        return int(json.loads((runs / f"{name} {run}-{rank}.json").read_text())["moments"])

    whole = moments("two", 0)
    assert moments("two", 1) == moments("alone", 0) == whole
    shares = [moments("three sharded", rank) for rank in range(3)]
    assert np.ptp(shares) < 0.01 * whole
    assert sum(shares) == pytest.approx(whole, rel=0.01)
