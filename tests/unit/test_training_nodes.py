"""A training job on several nodes: requested resources, and connection of its processes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lamini.errors import LaminiError
from lamini.training.launch import (
    FIRST_PORT,
    first_address,
    launch_command,
    run_on_nodes,
    step_command,
)
from lamini.workflow import Workflow
from lamini.workflow.resources import MAX_MINUTES

ROOT = Path(__file__).parents[2]
LARGE = "lamini-gpt-1.5b"


@pytest.fixture
def paper() -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks"):
        config |= yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    return config


def test_one_node_counts_its_gpus_and_several_count_those_of_each(paper: dict[str, Any]) -> None:
    one = Workflow(paper)
    asked = {name: value for name, value in one.training_shape(LARGE).items() if value is not None}
    assert asked == {"nodes": 1, "node_gpus": 8, "gpu": 8}
    paper["models"][LARGE] |= {"nodes": 2, "gpus": 4}
    two = Workflow(paper)
    asked = {name: value for name, value in two.training_shape(LARGE).items() if value is not None}
    assert asked == {
        "nodes": 2,
        "node_gpus": 4,
        "gres": "gpu:4",
        "tasks": 2,
        "tasks_per_gpu": 0,
        "mpi": "srun",
    }
    assert one.training_gpus(LARGE) == two.training_gpus(LARGE)
    assert one.training_minutes(LARGE, 1) == two.training_minutes(LARGE, 1)
    assert one.training_params(LARGE) == two.training_params(LARGE), (
        "the number of nodes is not part of the params"
    )


def test_every_attempt_fits_the_profiles_partition(paper: dict[str, Any]) -> None:
    profile = ROOT / "config/profiles/slurm/partitions.yaml"
    limits = yaml.safe_load(profile.read_text())["partitions"]["gpu"]
    assert limits["max_runtime"] == MAX_MINUTES
    flow = Workflow(paper)
    for model in flow.config.students:
        memories = [flow.training_memory(model, attempt) for attempt in (1, 2, 3)]
        minutes = [flow.training_minutes(model, attempt) for attempt in (1, 2, 3)]
        assert memories == sorted(set(memories)) and memories[-1] <= limits["max_mem_mb"]
        assert minutes == sorted(minutes) and minutes[-1] <= limits["max_runtime"]
        assert flow.training_threads(model) <= limits["max_threads"]


def test_all_nodes_name_the_same_rendezvous() -> None:
    commands = [
        launch_command(
            {"SLURM_NNODES": "2", "SLURM_JOB_ID": "70001", "SLURM_NODEID": str(node)}, "10.0.0.7", 4
        )
        for node in range(2)
    ]
    first, second = (
        {option for option in command if not option.startswith("--machine_rank")}
        for command in commands
    )
    assert first == second
    assert {"--num_processes=8", f"--main_process_port={FIRST_PORT + 10001}"} <= first
    assert [f"--machine_rank={node}" in commands[node] for node in range(2)] == [True, True]


def test_a_step_has_one_task_on_each_node() -> None:
    assert "--gres=gpu:4" in step_command(2, 8, 4)
    assert step_command(2, 8, 0)[1:5] == [
        "--nodes=2",
        "--ntasks=2",
        "--ntasks-per-node=1",
        "--cpus-per-task=8",
    ]


def test_several_nodes_need_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(LaminiError, match="--profile slurm"):
        run_on_nodes(2, 1, 0, [])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("exit 0", "hostnames n\\[1-2\\]` names no node"),
        ("echo n1", "show node n1` names no NodeAddr"),
        ("echo no controller >&2; exit 1", "failed: no controller"),
    ],
)
def test_a_controller_without_address_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, said: str
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\n{answer}\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(LaminiError, match=said):
        first_address("n[1-2]")
