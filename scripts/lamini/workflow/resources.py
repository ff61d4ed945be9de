"""What a job needs, by its model and by how often it was tried."""

from collections.abc import Callable

from lamini.settings.backends import kind_of
from lamini.workflow.names import Names

LONGEST_MINUTES = 2880
"""Two days, the longest time limit that is common; config/profiles/slurm/partitions.yaml has it."""


class Resources(Names):
    """Threads, GPUs, minutes and memory."""

    def teacher_threads(self) -> int:
        """Threads of a job that talks to the teacher; replaying ledgers takes one."""
        teacher = self.config.teacher
        return kind_of(teacher).threads(teacher) if teacher.mode == "live" else 1

    def teacher_minutes(self, minutes: int, attempt: int) -> int:
        """Time limit of a job that talks to the teacher, which each retry goes on with.

        A batch may take a day, and what it lacks another: then two days, however little is asked.
        """
        teacher = self.config.teacher
        waits = kind_of(teacher).takes_days and teacher.mode == "live"
        return LONGEST_MINUTES if waits else minutes * attempt

    def model_threads(self, model: str) -> int:
        """Threads of a job that computes with a model: more than one is no use to a toy."""
        return 2 if self.config.models[model].parameters > 20e6 else 1

    def evaluation_minutes(self, model: str, attempt: int) -> int:
        """Time limit in minutes of evaluating a batch: a model's size sets it."""
        return round((60 + 60 * self.config.models[model].parameters / 1e9) * attempt)

    def node_gpus(self, model: str) -> int:
        """GPUs on each node of a training job; by default one, four, or from a billion on eight."""
        definition = self.config.models[model]
        if definition.gpus is not None:
            return definition.gpus
        return 1 if definition.parameters < 400e6 else 4 if definition.parameters < 1e9 else 8

    def training_gpus(self, model: str) -> int:
        """GPUs of a training job, over all of its nodes."""
        return self.config.models[model].nodes * self.node_gpus(model)

    def training_threads(self, model: str) -> int:
        """Processor cores on each node of a training job: each GPU's process has its own."""
        return self.model_threads(model) * self.node_gpus(model)

    def training_shape(self, model: str) -> dict[str, int | str | None]:
        """How a training job is laid over nodes, in the executor's words; null: not asked for.

        On several nodes the executor must leave `srun` to the job (`mpi`), and count GPUs by node
        (`gres`) rather than in all (`gpu`).
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
        """Time limit of a training job in minutes; each retry, which resumes, gets more.

        Sized for V100s at a third of their peak on the paper's 2.58M pairs and 5 epochs. No limit
        exceeds `LONGEST_MINUTES`: what takes longer goes on in the retry.
        """
        hours_per_billion = 100.0
        billions = self.config.models[model].parameters / 1e9
        needed = 60 * hours_per_billion * billions / self.training_gpus(model)
        return min(round(max(60.0, 1.5 * needed) * attempt), LONGEST_MINUTES)

    def training_memory(self, model: str, attempt: int) -> int:
        """Main memory in MiB, on each node, of a training job.

        Without a GPU all is there: weights, gradients and Adam's two moments in fp32, and half as
        much for activations. With GPUs each process reads the weights through main memory, twice at
        most, and torch with CUDA takes some 3 GB.
        """
        megabytes = self.config.models[model].parameters / 2**20
        processes = self.node_gpus(model) * (3000 + 8 * megabytes)
        return round(max(3000 + 24 * megabytes, processes) * (1 + 0.5 * (attempt - 1)))

    def model_memory(self, model: str, bytes_per_parameter: int, attempt: int) -> int:
        """Main memory in MiB of a job that holds a model."""
        parameters = self.config.models[model].parameters
        return round((3000 + parameters * bytes_per_parameter / 2**20) * (1 + 0.5 * (attempt - 1)))


def growing(amount: int) -> Callable[[object, int], int]:
    """A resource of a rule: so much at first, and as much again in each retry."""

    def resource(wildcards: object, attempt: int) -> int:
        return amount * attempt

    return resource
