"""Processes of a run (ranks) and the communication between them.

A run with one process needs no communication. Several processes find each other by environment
variables: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, set by `accelerate launch`,
`torchrun` or our own `launch`.
"""

import datetime
import logging
import os
from typing import Any

import torch
from torch import distributed

from lamini.errors import LaminiError

logger = logging.getLogger("lamini")
# A rank may wait long for another rank's held-out loss or checkpoint. The launcher detects a dead
# rank, so a long timeout is safe.
_TIMEOUT = datetime.timedelta(hours=2)


class Ranks:
    """Rank, world size and device of this process, and its collective operations.

    Args:
        gpus: number of GPUs allotted to the run; 0 means CPU.

    Raises:
        LaminiError: when a GPU is allotted but can't be used.
    """

    def __init__(self, gpus: int) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = _device(gpus, int(os.environ.get("LOCAL_RANK", "0")))
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=_TIMEOUT)

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the only process that writes files."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a small tensor over all ranks, in place."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on any rank; the result is the same on all ranks."""
        if self.world == 1:  # without a wait for the GPU
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.device)))

    def share(self, value: Any) -> Any:
        """Rank 0's value, on all ranks."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def wait(self) -> None:
        """Wait until all ranks reach this call (barrier)."""
        if self.world > 1:
            distributed.barrier()

    def close(self) -> None:
        """Leave the process group."""
        if self.world > 1:
            distributed.destroy_process_group()


def _device(gpus: int, local_rank: int) -> torch.device:
    if gpus == 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise LaminiError(
                f"process {local_rank} of this machine has no GPU: {torch.cuda.device_count()} are"
                " visible; request one GPU per process"
            )
        return torch.device("cuda", local_rank)
    # An allotted GPU that does not work is an error: training on the CPU would take weeks.
    allotted = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("SLURM_JOB_GPUS")
    if allotted:
        raise LaminiError(
            f"GPU {allotted} was allotted to this job, and torch {torch.__version__} can't use it;"
            " check `nvidia-smi` and that torch is a CUDA build"
        )
    logger.info("no GPU here: training on the CPU")
    return torch.device("cpu")
