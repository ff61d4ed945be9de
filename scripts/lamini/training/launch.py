"""Start the processes of a run: several on this machine, or several on each node of a SLURM job.

One machine: `launch` starts and ends the processes itself. Unlike `accelerate launch`, it forwards
stop signals to every process, leaves time to save a checkpoint, and returns an exit code that
distinguishes a stopped run from a failed one.

Several nodes: `srun` and `accelerate launch` start the processes.

    rule train_model                      runs on the first node, like any rule
      srun --nodes=N                      `run_on_nodes`: one task per node
        python -m lamini.training.launch  reads its node number and the first node's address
          accelerate launch               starts the processes of this node

Snakemake's executor removes nearly all SLURM_* variables from the rule's shell except the SLURM job
id. The variables that differ between nodes are therefore read inside the `srun` step.
"""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from lamini import slurm
from lamini.errors import LaminiError
from lamini.training.interrupts import EXIT_STOPPED, STOP_SIGNALS

logger = logging.getLogger("lamini")
_GRACE_SECONDS = 20.0
FIRST_PORT, PORTS = 20000, 20000
"""The main process port is derived from the SLURM job id, so that two jobs on one node differ."""


def launched_already() -> bool:
    """Whether a launcher started this process as one of several."""
    return "RANK" in os.environ


def visible_gpus() -> int:
    """Number of GPUs that this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def launch(processes: int, arguments: list[str]) -> int:
    """Run `python -m lamini.training` in several processes; returns the exit code of the run.

    Args:
        processes: number of processes.
        arguments: command-line arguments of each process.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(processes),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "lamini.training", *arguments],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            # A new session, so that Ctrl-C reaches only this process, which forwards it once.
            start_new_session=True,
        )
        for rank in range(processes)
    ]

    def pass_on(number: int, frame: object) -> None:
        for process in started:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
    try:
        return _wait(started)
    finally:
        _end(started)
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(started: list[subprocess.Popen[bytes]]) -> int:
    """Wait until every process exits with 0 or 85, or any process fails; returns the exit code."""
    while True:
        codes = [process.poll() for process in started]
        failed = [code for code in codes if code not in (None, 0, EXIT_STOPPED)]
        if failed:
            logger.error("process %d of the run failed; ending the others", codes.index(failed[0]))
            return failed[0] if failed[0] > 0 else 1
        if None not in codes:
            return EXIT_STOPPED if EXIT_STOPPED in codes else 0
        time.sleep(0.1)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is None:
            process.kill()
    for process in started:
        process.wait(_GRACE_SECONDS)


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
    return subprocess.call([*step, sys.executable, "-m", "lamini.training.launch", *arguments])


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
    match = re.search(r"\bNodeAddr=(\S+)", slurm.ask("scontrol", "show", "node", first))
    if match is None:
        raise LaminiError(f"`scontrol show node {first}` names no NodeAddr")
    return match[1]


def main(arguments: list[str]) -> None:
    """Replace this process by this node's `accelerate launch`."""
    step = os.environ
    address = first_address(step.get("SLURM_STEP_NODELIST") or step["SLURM_JOB_NODELIST"])
    command = launch_command(step, address, max(1, visible_gpus()))
    os.execv(command[0], [*command, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
