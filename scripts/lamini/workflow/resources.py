"""Resources of jobs (threads, GPUs, minutes, memory), by model size and attempt number."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import yaml

from lamini.errors import SettingsError
from lamini.settings.students import Lora
from lamini.teacher.backends import CLIENT_MEMORY_MB, kind_of
from lamini.workflow.training_time import TrainingTime

MAX_MINUTES = 2880
"""Longest time limit, two days: common on clusters; see config/profiles/slurm/partitions.yaml."""
PARTITIONS = Path("config/profiles/slurm/partitions.yaml")
"""The site's partitions, in the format of Snakemake's executor for SLURM."""
MAX_GROWTH = 3
"""The attempt from which on a retry gets no more memory or time than the one before. Jobs are also
tried again after they were cancelled or preempted, or when a node fails; such attempts must never
need more memory than a node has."""
SWEEP_NICE = 10_000
"""How far SLURM moves the trainings of sweeps back in its queue."""
_LONGER = 1.5
"""Time limit of a training, relative to its estimated time."""


class Resources(TrainingTime):
    """Threads, GPUs, minutes and memory of jobs."""

    def teacher_threads(self) -> int:
        """Threads of a job with requests to the teacher; one if it replays ledgers."""
        teacher = self.config.teacher
        return kind_of(teacher).threads(teacher) if teacher.mode == "live" else 1

    def teacher_gpus(self) -> int:
        """GPUs of a job with requests to the teacher; none if it replays ledgers."""
        teacher = self.config.teacher
        return kind_of(teacher).gpus(teacher) if teacher.mode == "live" else 0

    def teacher_memory(self, attempt: int) -> int:
        """Main memory of a job with requests to the teacher, in MiB; it grows with each retry."""
        teacher = self.config.teacher
        live = teacher.mode == "live"
        megabytes = kind_of(teacher).memory_mb(teacher) if live else CLIENT_MEMORY_MB
        return round(megabytes * growth(attempt))

    def teacher_minutes(self, minutes: int, attempt: int) -> int:
        """Time limit in minutes of a job with requests to the teacher; it grows with each retry.

        With the Batch API the limit is two days for any number of requests: a batch may take a day,
        and the requests that it does not answer are sent in another batch. A local server gets more
        time if it has more than 30 billion parameters per GPU.
        """
        teacher = self.config.teacher
        if teacher.mode == "live" and kind_of(teacher).takes_days:
            return MAX_MINUTES
        server = teacher.server if teacher.backend == "local" else None
        billions = (server.parameters or 0) / 1e9 / max(server.gpus, 1) if server else 0.0
        return min(round(minutes * max(1.0, billions / 30) * growth(attempt)), MAX_MINUTES)

    def model_threads(self, model: str) -> int:
        """Threads of a job that runs a model; below 20M parameters a second one gains nothing."""
        return 2 if self.config.models[model].parameters > 20e6 else 1

    def evaluation_minutes(self, model: str, attempt: int) -> int:
        """Time limit in minutes of evaluating a batch of tasks; it grows with the model's size."""
        return round((60 + 60 * self.config.models[model].parameters / 1e9) * growth(attempt))

    def node_gpus(self, model: str) -> int:
        """GPUs per node of a training job.

        Default: 1, from 400M parameters 4, from a billion 8, and no more than a node of the site
        has; 1 if the recipe trains an adapter (`lora`), as the memory of one is enough.
        """
        definition = self.config.models[model]
        if definition.gpus is not None:
            return definition.gpus
        large = 0 if self._lora(model) else definition.parameters
        wanted = 1 if large < 400e6 else 4 if large < 1e9 else 8
        return min(wanted, self.config.site.node_gpus or self.partition_gpus or wanted)

    @cached_property
    def partition_gpus(self) -> int | None:
        """Largest `max_gpu` of the partitions; None without a file of partitions or a limit.

        Raises:
            SettingsError: if the file is wrong; names it.
        """
        if not PARTITIONS.is_file():
            return None
        try:
            partitions = yaml.safe_load(PARTITIONS.read_text(encoding="utf-8"))["partitions"]
            limits = [int(limit["max_gpu"]) for limit in partitions.values() if "max_gpu" in limit]
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise SettingsError(
                f"{PARTITIONS}: `partitions` must have limits by name of the partition, such as"
                f" `gpu: {{max_gpu: 8}}` ({type(error).__name__}: {error})"
            ) from None
        return max(filter(None, limits), default=None)

    def training_gpus(self, model: str) -> int:
        """Total number of GPUs of a training job, over all nodes."""
        return self.config.models[model].nodes * self.node_gpus(model)

    def training_threads(self, model: str) -> int:
        """Processor cores per node of a training job; each GPU's process has its own cores."""
        return self.model_threads(model) * self.node_gpus(model)

    def training_shape(self, model: str) -> dict[str, int | str | None]:
        """Nodes, tasks and GPUs of a training job, as resources of the SLURM executor; None: unset.

        On several nodes the job calls `srun` itself (`mpi`), and GPUs are requested per node
        (`gres`) instead of in total (`gpu`).
        """
        nodes, gpus = self.config.models[model].nodes, self.node_gpus(model)
        several = nodes > 1
        return {
            "nodes": nodes,
            "node_gpus": gpus,
            "gpu": None if several else gpus,
            "gres": f"gpu:{gpus}" if several else None,
            "tasks": nodes if several else None,
            "tasks_per_gpu": 0 if several else None,
            "mpi": "srun" if several else None,
        }

    def training_priority(self, model: str) -> int:
        """Order of a training among ready jobs: before all other jobs, of a sweep after them."""
        return -1 if model in self.sweep_students else 1

    def sweep_trainings(self, model: str) -> int:
        """1 for a training of a sweep, which the profile limits, else 0."""
        return int(model in self.sweep_students)

    def training_submission(self, model: str) -> str | None:
        """Options of `sbatch` for a training: of a sweep, SLURM starts it after other jobs."""
        return f"--nice={SWEEP_NICE}" if model in self.sweep_students else None

    def training_minutes(self, model: str, attempt: int) -> int:
        """Time limit of a training job in minutes; a retry resumes and gets more time.

        Half as much again as the estimated time (`make plan`) of all epochs, also if the recipe
        allows an early stop; at least an hour. The limit never exceeds `MAX_MINUTES`: a longer
        training continues in the retry.
        """
        needed = 60 * self.training_hours(model, self.training_gpus(model))
        return min(round(max(60.0, _LONGER * needed) * growth(attempt)), MAX_MINUTES)

    def training_memory(self, model: str, attempt: int) -> int:
        """Main memory per node of a training job, in MiB.

        On a CPU, main memory holds weights, gradients and Adam's two moments in fp32, and half as
        much again for activations; for an adapter, the frozen weights, and again at the export. On
        GPUs, each process loads the weights through main memory (at
        most two copies), and torch with CUDA takes about 3 GB.
        """
        megabytes = self.config.models[model].parameters / 2**20
        processes = self.node_gpus(model) * (3000 + 8 * megabytes)
        on_cpu = (12 if self._lora(model) else 24) * megabytes
        return round(max(3000 + on_cpu, processes) * growth(attempt, 0.5))

    def _lora(self, model: str) -> Lora | None:
        """The adapter that a student's recipe trains; None for other models."""
        student = self.config.models[model].role == "student"
        return self.config.recipe(model).lora if student else None

    def model_memory(self, model: str, bytes_per_parameter: int, attempt: int) -> int:
        """Main memory in MiB of a job that loads a model; a retry gets half as much again.

        For a model that is exported as an adapter, its initialization in fp32 is included.
        """
        parameters = self.config.models[model].parameters
        lora = self._lora(model)
        if lora is not None and lora.export == "adapter":
            bytes_per_parameter += 4
        return round((3000 + parameters * bytes_per_parameter / 2**20) * growth(attempt, 0.5))


def growth(attempt: int, step: float = 1) -> float:
    """Factor of an attempt's resources: 1, and `step` more for each retry, up to `MAX_GROWTH`."""
    return 1 + step * (min(attempt, MAX_GROWTH) - 1)


def growing(amount: int) -> Callable[[object, int], int]:
    """A rule's resource that is `amount` times the growth of the attempt."""

    def resource(wildcards: object, attempt: int) -> int:
        return round(amount * growth(attempt))

    return resource
