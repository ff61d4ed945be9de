"""What a job needs, by its model and by how often it was tried."""

from lamini.workflow.names import Names


class Resources(Names):
    """Threads, GPUs, minutes and memory."""

    def teacher_threads(self) -> int:
        """Threads of a job that talks to the teacher: the local server's, else one."""
        teacher = self.config.teacher
        if teacher.backend == "local" and teacher.server and teacher.mode == "live":
            return teacher.server.threads
        return 1

    def model_threads(self, model: str) -> int:
        """Threads of a job that computes with a model: more than one is no use to a toy."""
        return 2 if self.config.models[model].parameters > 20e6 else 1

    def evaluation_minutes(self, model: str, attempt: int) -> int:
        """Time limit in minutes of evaluating a batch: a model's size sets it."""
        return round((60 + 60 * self.config.models[model].parameters / 1e9) * attempt)

    def training_gpus(self, model: str) -> int:
        """GPUs of a training job: one below 400M parameters, four below a billion, else eight."""
        parameters = self.config.models[model].parameters
        return 1 if parameters < 400e6 else 4 if parameters < 1e9 else 8

    def training_minutes(self, model: str, attempt: int) -> int:
        """Time limit of a training job in minutes; each retry, which resumes, gets more.

        Sized for V100s at a third of their peak on the paper's 2.58M pairs and 5 epochs.
        """
        hours_per_billion = 100.0
        billions = self.config.models[model].parameters / 1e9
        needed = 60 * hours_per_billion * billions / self.training_gpus(model)
        return round(max(60.0, 1.5 * needed) * attempt)

    def model_memory(self, model: str, bytes_per_parameter: int, attempt: int) -> int:
        """Main memory in MiB of a job that holds a model."""
        parameters = self.config.models[model].parameters
        return round((3000 + parameters * bytes_per_parameter / 2**20) * (1 + 0.5 * (attempt - 1)))
