"""The processes that share a run, and what they tell each other.

A run of one process talks to nobody. Several are found by the variables that `accelerate launch`,
`torchrun` and our own `launch` set (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).
"""

import datetime
import logging
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed

from lamini.errors import LaminiError

logger = logging.getLogger("lamini")
_BUCKET_ELEMENTS = 25_000_000
# A rank may wait for another's held-out share or checkpoint; a dead one is noticed by the launcher.
_PATIENCE = datetime.timedelta(hours=2)


class Ranks:
    """This process among those of the run.

    Args:
        gpus: devices that the run was given; 0 means that it shall use none.

    Raises:
        LaminiError: when a GPU was allotted and can't be used.
    """

    def __init__(self, gpus: int) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = _device(gpus, int(os.environ.get("LOCAL_RANK", "0")))
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=_PATIENCE)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks of a small tensor."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether any rank says yes; all get the same answer."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)))

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up all ranks' gradients, in place, some at a time."""
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.world == 1:
            return
        bucket: list[torch.Tensor] = []
        for parameter in parameters:
            assert parameter.grad is not None
            bucket.append(parameter.grad)
            if sum(gradient.numel() for gradient in bucket) >= _BUCKET_ELEMENTS:
                _sum_bucket(bucket)
                bucket = []
        if bucket:
            _sum_bucket(bucket)

    def share(self, value: Any) -> Any:
        """Rank 0's value, on all ranks."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def send(self, tensor: torch.Tensor, source: int) -> None:
        """Overwrite `tensor` on all ranks with that of rank `source`."""
        if self.world > 1:
            distributed.broadcast(tensor, src=source)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.world > 1:
            distributed.barrier()

    def close(self) -> None:
        """Leave the group."""
        if self.world > 1:
            distributed.destroy_process_group()


def _sum_bucket(gradients: list[torch.Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _device(gpus: int, local_rank: int) -> torch.device:
    if gpus == 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise LaminiError(
                f"process {local_rank} of this machine has no GPU: {torch.cuda.device_count()} are"
                " visible; ask for as many as there are processes"
            )
        return torch.device("cuda", local_rank)
    # A scheduler gave us a GPU and it does not work: training on the CPU would take weeks.
    allotted = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("SLURM_JOB_GPUS")
    if allotted:
        raise LaminiError(
            f"GPU {allotted} was allotted to this job, and torch {torch.__version__} can't use it;"
            " check `nvidia-smi` and that torch is a CUDA build"
        )
    logger.info("no GPU here: training on the CPU")
    return torch.device("cpu")
