"""Resources of jobs (threads, GPUs, minutes, memory), by model size and attempt number."""

from collections.abc import Callable

from lamini.settings.backends import MEMORY_MB, kind_of
from lamini.workflow.names import Names

LONGEST_MINUTES = 2880
"""Longest time limit, two days: common on clusters; see config/profiles/slurm/partitions.yaml."""


class Resources(Names):
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
        return attempt * (kind_of(teacher).memory_mb(teacher) if live else MEMORY_MB)

    def teacher_minutes(self, minutes: int, attempt: int) -> int:
        """Time limit in minutes of a job with requests to the teacher; it grows with each retry.

        With the Batch API the limit is two days for any number of requests: a batch may take a day,
        and the requests that it does not answer are sent in another batch.
        """
        teacher = self.config.teacher
        waits = kind_of(teacher).takes_days and teacher.mode == "live"
        return LONGEST_MINUTES if waits else minutes * attempt

    def model_threads(self, model: str) -> int:
        """Threads of a job that runs a model; below 20M parameters a second one gains nothing."""
        return 2 if self.config.models[model].parameters > 20e6 else 1

    def evaluation_minutes(self, model: str, attempt: int) -> int:
        """Time limit in minutes of evaluating a batch of tasks; it grows with the model's size."""
        return round((60 + 60 * self.config.models[model].parameters / 1e9) * attempt)

    def node_gpus(self, model: str) -> int:
        """GPUs per node of a training job; default: 1, from 400M parameters 4, from a billion 8."""
        definition = self.config.models[model]
        if definition.gpus is not None:
            return definition.gpus
        return 1 if definition.parameters < 400e6 else 4 if definition.parameters < 1e9 else 8

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

    def training_minutes(self, model: str, attempt: int) -> int:
        """Time limit of a training job in minutes; a retry resumes and gets more time.

        Estimated for V100s at a third of their peak, with the paper's 2.58M pairs and 5 epochs. The
        limit never exceeds `LONGEST_MINUTES`: a longer training continues in the retry.
        """
        hours_per_billion = 100.0
        billions = self.config.models[model].parameters / 1e9
        needed = 60 * hours_per_billion * billions / self.training_gpus(model)
        return min(round(max(60.0, 1.5 * needed) * attempt), LONGEST_MINUTES)

    def training_memory(self, model: str, attempt: int) -> int:
        """Main memory per node of a training job, in MiB.

        On a CPU, main memory holds weights, gradients and Adam's two moments in fp32, and half as
        much again for activations. On GPUs, each process loads the weights through main memory (at
        most two copies), and torch with CUDA takes about 3 GB.
        """
        megabytes = self.config.models[model].parameters / 2**20
        processes = self.node_gpus(model) * (3000 + 8 * megabytes)
        return round(max(3000 + 24 * megabytes, processes) * (1 + 0.5 * (attempt - 1)))

    def model_memory(self, model: str, bytes_per_parameter: int, attempt: int) -> int:
        """Main memory in MiB of a job that loads a model; a retry gets half as much again."""
        parameters = self.config.models[model].parameters
        return round((3000 + parameters * bytes_per_parameter / 2**20) * (1 + 0.5 * (attempt - 1)))


def growing(amount: int) -> Callable[[object, int], int]:
    """A rule's resource that is `amount` times the attempt number."""

    def resource(wildcards: object, attempt: int) -> int:
        return amount * attempt

    return resource
