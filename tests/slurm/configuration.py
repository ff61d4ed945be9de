"""The configuration files of the test cluster: four virtual nodes on one machine, with fake GPUs.

Partitions: `cpu` (c1, c2), `gpu` (g1, g2, two GPUs each), and `urgent`, on the nodes of `gpu`, to
preempt its jobs.
"""

import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

CPU_NODES, GPU_NODES = ("c1", "c2"), ("g1", "g2")
NODES = (*CPU_NODES, *GPU_NODES)
GPUS = 2
"""Of each GPU node."""
FIRST_PORT = 16817
_TTY_MAJOR, _FIRST_TTY = 4, 56


@dataclass(frozen=True)
class Ports:
    """Ports of the daemons; the nodes have consecutive ports."""

    controller: int = FIRST_PORT
    accounting: int = FIRST_PORT + 1
    database: int = FIRST_PORT + 2
    nodes: int = FIRST_PORT + 3


PORTS = Ports()


@dataclass(frozen=True)
class Sizes:
    """What SLURM believes that the nodes have; small ones keep several jobs waiting."""

    cpu_cores: int = 2
    gpu_cores: int = 2
    memory: int = 40_000
    """Of each node, in MiB."""
    gpus: int = GPUS
    """Of each GPU node."""


SMALL, PAPER = Sizes(), Sizes(gpu_cores=16, memory=512_000, gpus=8)
"""Of the tests; of nodes on which every job of the paper's configuration fits."""


def containment() -> str:
    """`cgroup/v1` if this machine permits creating control groups, else `none`.

    Version 2 needs systemd in Debian 12's SLURM. Without either, memory is polled: a job that asks
    for too much is found some seconds later.
    """
    trial = Path("/sys/fs/cgroup/memory") / f"slurm-trial-{os.getpid()}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError:
        return "none"
    writable = all(os.access(f"/sys/fs/cgroup/{h}", os.W_OK) for h in ("freezer", "devices"))
    return "cgroup/v1" if writable else "none"


def write_configuration(folder: Path, sizes: Sizes = SMALL) -> dict[str, Path]:
    """Write all files below `folder`; returns the files that SLURM reads, by name."""
    for name in ("etc", "log", "run", "state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(0o755)
    kind = containment()
    files = {
        "slurm.conf": _slurm(folder, kind, sizes),
        "slurmdbd.conf": _slurmdbd(folder),
        "gres.conf": _gres(folder, sizes.gpus),
        "cgroup.conf": _cgroup(),
    }
    paths = {name: folder / "etc" / name for name in files}
    for name, text in files.items():
        paths[name].write_text(text)
        paths[name].chmod(0o600 if name == "slurmdbd.conf" else 0o644)
    # A job that sees CUDA devices uses them, and fails when it can't. These are terminals.
    prolog = folder / "etc/task_prolog"
    prolog.write_text("#!/bin/sh\necho unset CUDA_VISIBLE_DEVICES\necho unset SLURM_JOB_GPUS\n")
    prolog.chmod(0o755)
    return paths


def _slurm(folder: Path, kind: str, sizes: Sizes) -> str:
    host = socket.gethostname().partition(".")[0]
    if kind == "none":
        contain = (
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n"
            "JobAcctGatherParams=OverMemoryKill"
        )
    else:
        contain = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup"
    first, memory = PORTS.nodes, f"RealMemory={sizes.memory} State=UNKNOWN"
    return f"""# Made by tests/slurm/configuration.py.
ClusterName=lamini
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={PORTS.controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job requeued after a node failure may start only when its old credential has expired.
AuthInfo=cred_expire=20
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
TaskProlog={folder}/etc/task_prolog
# The nodes are virtual: they have the CPUs and memory declared below.
SlurmdParameters=config_overrides
ReturnToService=2
# Start jobs at once, and refuse at once jobs that can never run.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
EnforcePartLimits=ALL
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
# Notice a dead node within seconds. A short UnkillableStepTimeout would drain nodes whenever the
# controller is away for a moment.
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=5
UnkillableStepTimeout=180
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# squeue must still show a job three polls after its end.
MinJobAge=3600
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={PORTS.accounting}
AccountingStorageTRES=gres/gpu
{contain}
NodeName=c[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{first + 1}] \
CPUs={sizes.cpu_cores} {memory}
NodeName=g[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first + 2}-{first + 3}] \
CPUs={sizes.gpu_cores} {memory} Gres=gpu:{sizes.gpus}
PartitionName=cpu Nodes=c[1-2] Default=YES DefMemPerCPU=500 MaxTime=2880 PriorityTier=1
PartitionName=gpu Nodes=g[1-2] DefMemPerCPU=500 MaxTime=2880 PriorityTier=1
PartitionName=urgent Nodes=g[1-2] DefMemPerCPU=500 MaxTime=2880 PriorityTier=10
"""


def _slurmdbd(folder: Path) -> str:
    return f"""AuthType=auth/munge
DbdHost=localhost
DbdPort={PORTS.accounting}
SlurmUser=root
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={PORTS.database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


def _gres(folder: Path, gpus: int) -> str:
    """GPUs must be distinct character devices; unused terminals take their place."""
    for number in range(gpus):
        device = folder / f"run/gpu{number}"
        if not device.exists():
            os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(_TTY_MAJOR, _FIRST_TTY + number))
    return f"AutoDetect=off\nNodeName=g[1-2] Name=gpu File={folder}/run/gpu[0-{gpus - 1}]\n"


def _cgroup() -> str:
    return """CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainCores=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainDevices=yes
"""
