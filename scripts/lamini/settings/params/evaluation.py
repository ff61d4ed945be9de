"""Params of the rules that evaluate and export models, and generate answers."""

from typing import Any

from lamini.settings.base import Settings
from lamini.settings.evaluation import Answers, Evaluation, Task, TaskData
from lamini.settings.exports import CTranslate2Type, ExportType, GgufType
from lamini.settings.params.common import UserFilesDigest, WeightsDigest
from lamini.settings.params.students import OnlyForChat
from lamini.settings.students import Architecture


class MirrorTaskData(TaskData):
    """Params of rule `mirror_task_data`."""


class EvaluatedModel(Settings):
    """A model that is evaluated or that generates answers."""

    model: str
    """Key of the model in the configuration."""
    architecture: Architecture
    prompt_format: str | None
    """Prompt format (wrapper) of the model; null: the bare text."""
    chat: OnlyForChat = None
    path: str
    """Folder or hub id."""
    revision: str | None
    """Commit or tag on the hub."""
    digest: WeightsDigest = None


class EvaluateModel(Settings):
    """Params of rule `evaluate_{batch}`: one model and a batch of tasks."""

    model: EvaluatedModel
    tasks: dict[str, Task]
    evaluation: Evaluation
    """`protocol` and `precision` are resolved for this model."""
    files: UserFilesDigest

    def as_params(self) -> dict[str, Any]:
        """All fields, except the batching of tasks and the batch size."""
        without_effect = {"evaluation": {"batches", "tokens_per_batch"}}
        return self.model_dump(mode="json", exclude=without_effect)


class ExportGguf(Settings):
    """Params of rule `export_gguf`."""

    model: EvaluatedModel
    name: str
    """Display name of the student, which the file contains."""
    type: GgufType
    version: int


class ExportCtranslate2(Settings):
    """Params of rule `export_ctranslate2`."""

    model: EvaluatedModel
    type: CTranslate2Type
    version: int


class CheckExport(EvaluateModel):
    """Params of rule `check_export`: the evaluation on one task, and the greedy tokens."""

    type: ExportType
    max_new_tokens: int
    """Greedy tokens that are compared per instruction."""
    version: int


class GenerateAnswers(Settings):
    """Params of rule `generate_answers`."""

    model: EvaluatedModel
    answers: Answers
    files: UserFilesDigest
    seed: int

    def as_params(self) -> dict[str, Any]:
        """All fields, except the batch size."""
        return self.model_dump(mode="json", exclude={"answers": {"tokens_per_batch"}})
