"""What tables, figures and report have in common: studies, models, the paper's numbers."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from lamini.products.published import PAPER
from lamini.roots import fingerprint, root_inputs
from lamini.workflow import Workflow

Params = dict[str, Any]


class Parts:
    """Parts of inputs and params.

    Args:
        flow: the configuration as the rules see it.
    """

    def __init__(self, flow: Workflow) -> None:
        self.flow = flow
        self.config = flow.config

    def evals(self, models: Iterable[str]) -> list[str]:
        """Evaluation results of some models on all evaluated tasks."""
        return [f"results/evals/{m}/{t}.json" for m in models for t in self.config.evaluated_tasks]

    @cached_property
    def _common(self) -> Params:
        """What every table and figure depends on."""
        report = self.config.report
        return {
            "reproduction": report.reproduction,
            "published_files": fingerprint([PAPER]),
            "version": report.version,
        }

    @property
    def _task_names(self) -> dict[str, str]:
        return {task: self.config.tasks[task].name for task in self.config.evaluated_tasks}

    def _key_and_name(self, model: str) -> dict[str, str]:
        return {"key": model, "name": self.config.models[model].name}

    @property
    def _has_topics(self) -> bool:
        """Whether topics guide instructions that this run generates."""
        return self.config.dataset == "generated" and bool(self.flow.guided_instructions)

    def _manifests(self) -> list[str]:
        return [f"results/checkpoints/{m}/final/manifest.json" for m in self.config.students]

    @property
    def _model_study(self) -> str | None:
        return self._study("models")

    @property
    def _dataset_study(self) -> str | None:
        return self._study("dataset")

    @property
    def _summaries(self) -> list[str]:
        return [f"results/human_eval/{study}/summary.json" for study in self.flow.studies]

    def _study_files(self, **names: str) -> dict[str, str]:
        """Files of the model study by the names of the inputs that they become."""
        folder = f"results/human_eval/{self._model_study}"
        return {name: f"{folder}/{file}" for name, file in names.items()}

    def _study(self, kind: str) -> str | None:
        studies = self.config.human_evaluation.studies
        return next((name for name, study in studies.items() if study.kind == kind), None)

    def _study_names(self) -> dict[str, str]:
        assert self._model_study is not None
        models = self.config.human_evaluation.studies[self._model_study].models
        return {model: self.config.models[model].name for model in models}

    def _model(self, key: str) -> Params:
        definition = self.config.models[key]
        fields = {"name", "role", "architecture", "family", "parameters"}
        return {"key": key, **definition.model_dump(include=fields)}

    def _students(self) -> list[Params]:
        students = []
        for key in self.config.students:
            start = self.config.models[self.config.models[key].initialization or ""]
            students.append(
                {
                    "key": key,
                    "name": self.config.models[key].name,
                    "architecture": self.config.models[key].architecture,
                    "initialization": start.name,
                    "learning_rate": self.config.recipe(key).learning_rate,
                }
            )
        return students


def published(name: str, key: str = "published") -> dict[str, Any]:
    """A file of the paper's numbers as an input; it comes with a clone, so it is `ancient`."""
    return {key: root_inputs([f"{PAPER}/{name}.csv"])[0]}
