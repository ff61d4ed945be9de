"""One training run on several nodes of a SLURM job, started by `srun` and `accelerate launch`.

    rule train_model                     runs on the first node, like any rule
      srun --nodes=N                     `run_on_nodes`: one task per node
        python -m lamini.training.nodes  reads its node number and the first node's address
          accelerate launch              starts the processes of this node

Snakemake's executor removes nearly all SLURM_* variables from the rule's shell except the SLURM job
id. The variables that differ between nodes are therefore read inside the `srun` step.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

from lamini import slurm
from lamini.errors import LaminiError
from lamini.training.launch import visible_gpus

FIRST_PORT, PORTS = 20000, 20000
"""The main process port is derived from the SLURM job id, so that two jobs on one node differ."""


def run_on_nodes(nodes: int, threads: int, gpus: int, arguments: list[str]) -> int:
    """Run `python -m lamini.training` on all nodes of this SLURM job; returns its exit code.

    Args:
        nodes: number of nodes of the SLURM job.
        threads: CPU cores of each node's task.
        gpus: GPUs of each node.
        arguments: command-line arguments of `python -m lamini.training`.

    Raises:
        LaminiError: outside a SLURM job.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise LaminiError(
            f"training on {nodes} nodes needs a SLURM job: use `--profile slurm`, or set"
            " `nodes: 1` for the model"
        )
    step = step_command(nodes, threads, gpus)
    return subprocess.call([*step, sys.executable, "-m", "lamini.training.nodes", *arguments])


def step_command(nodes: int, threads: int, gpus: int) -> list[str]:
    """The `srun` command that starts one task per node and ends all tasks when one fails."""
    shape = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    gres = [f"--gres=gpu:{gpus}"] if gpus else []
    return ["srun", *shape, f"--cpus-per-task={threads}", *gres, "--kill-on-bad-exit=1"]


def launch_command(step: Mapping[str, str], address: str, processes: int) -> list[str]:
    """The `accelerate launch` command of one node.

    Args:
        step: environment variables set by `srun`.
        address: address of the first node.
        processes: number of processes per node.
    """
    nodes, job = int(step["SLURM_NNODES"]), int(step["SLURM_JOB_ID"])
    shape = {
        "num_machines": nodes,
        "machine_rank": step["SLURM_NODEID"],
        "num_processes": nodes * processes,
        "main_process_ip": address,
        "main_process_port": FIRST_PORT + job % PORTS,
        "mixed_precision": "no",  # the run itself applies the recipe's `precision`
        "dynamo_backend": "no",
    }
    options = [f"--{name}={value}" for name, value in shape.items()]
    accelerate = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    # `--multi_gpu` means several processes, also on machines without a GPU.
    return [*accelerate, "--multi_gpu", *options, "-m", "lamini.training"]


def first_address(node_list: str) -> str:
    """Address of the first node of a node list, from SLURM, because a node name may not be in DNS.

    Raises:
        LaminiError: when SLURM's answer has no node or no address.
    """
    names = slurm.ask("scontrol", "show", "hostnames", node_list).split()
    if not names:
        raise LaminiError(f"`scontrol show hostnames {node_list}` names no node")
    first = names[0]
    found = re.search(r"\bNodeAddr=(\S+)", slurm.ask("scontrol", "show", "node", first))
    if found is None:
        raise LaminiError(f"`scontrol show node {first}` names no NodeAddr")
    return found[1]


def main(arguments: list[str]) -> None:
    """Replace this process by this node's `accelerate launch`."""
    step = os.environ
    address = first_address(step.get("SLURM_STEP_NODELIST") or step["SLURM_JOB_NODELIST"])
    command = launch_command(step, address, max(1, visible_gpus()))
    os.execv(command[0], [*command, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
