"""One training run on several nodes of a SLURM job: a step on all of them, and their rendezvous.

    rule train_model                     on the job's first node, as any rule
      srun --nodes=N                     `run_on_nodes`: one task on each node
        python -m lamini.training.nodes  learns its node's number and the first node's address
          accelerate launch              starts this node's processes, which find each other

Snakemake's executor takes nearly every SLURM_* variable from the rule's shell, and leaves the job's
number: what differs between nodes is read inside the step.
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
"""The rendezvous' port is made from the job's number, so that two jobs on a node do not meet."""


def run_on_nodes(nodes: int, threads: int, gpus: int, arguments: list[str]) -> int:
    """Run `python -m lamini.training` on several nodes of this job; returns its exit code.

    Args:
        nodes: how many; the job has as many.
        threads: of each node's task.
        gpus: of each node.
        arguments: the command line of `python -m lamini.training`.

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
    """The `srun` that starts one task on each node, and ends all when one fails."""
    shape = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    given = [f"--gres=gpu:{gpus}"] if gpus else []
    return ["srun", *shape, f"--cpus-per-task={threads}", *given, "--kill-on-bad-exit=1"]


def launch_command(step: Mapping[str, str], address: str, processes: int) -> list[str]:
    """The `accelerate launch` of one node.

    Args:
        step: the variables that srun set.
        address: of the first node.
        processes: on each node.
    """
    nodes, job = int(step["SLURM_NNODES"]), int(step["SLURM_JOB_ID"])
    shape = {
        "num_machines": nodes,
        "machine_rank": step["SLURM_NODEID"],
        "num_processes": nodes * processes,
        "main_process_ip": address,
        "main_process_port": FIRST_PORT + job % PORTS,
        "mixed_precision": "no",  # `precision` of the recipe decides, in the run itself
        "dynamo_backend": "no",
    }
    options = [f"--{name}={value}" for name, value in shape.items()]
    accelerate = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    # `--multi_gpu` means several processes, also where there is no GPU.
    return [*accelerate, "--multi_gpu", *options, "-m", "lamini.training"]


def first_address(node_list: str) -> str:
    """The address of a node list's first node, as SLURM knows it: a name need not be in DNS.

    Raises:
        LaminiError: when SLURM does not tell.
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
    """Become this node's `accelerate launch`."""
    step = os.environ
    address = first_address(step.get("SLURM_STEP_NODELIST") or step["SLURM_JOB_NODELIST"])
    command = launch_command(step, address, max(1, visible_gpus()))
    os.execv(command[0], [*command, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
