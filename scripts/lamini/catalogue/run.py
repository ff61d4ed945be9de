"""View of the configuration for the catalogue: models, studies, paths, published numbers."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from lamini import paths
from lamini.catalogue.paper import PAPER, PAPER_TEACHER
from lamini.catalogue.params.common import CommonParams, NamedModel, ScoredModel, SeedRuns
from lamini.catalogue.params.models import Student
from lamini.user_files import rule_inputs, user_files_digest

if TYPE_CHECKING:  # For annotations: a job that makes a table loads no settings.
    from lamini.workflow import Workflow


RuleFiles = Mapping[str, str | list[str]]
"""Named inputs of a rule: a path, or a list of paths."""


class Run:
    """Values of the configuration from which entries build their inputs and params.

    Args:
        flow: the configuration as the rules see it.
    """

    def __init__(self, flow: "Workflow") -> None:
        self.flow = flow
        self.config = flow.config

    @cached_property
    def common(self) -> CommonParams:
        """Params that all tables and figures have."""
        report = self.config.report
        return CommonParams(
            reproduction=report.reproduction,
            published_files=user_files_digest([PAPER]),
            version=report.version,
        )

    @property
    def mixture(self) -> str:
        """Name of the analysed mixture."""
        return self.flow.analysed_mixture

    @property
    def generated(self) -> bool:
        """Whether this run generates its dataset."""
        return self.config.dataset == "generated"

    @property
    def another_teacher(self) -> str | None:
        """The teacher of a replication: a run of the paper whose answers are another model's."""
        flow = self.flow
        models = [*flow.writers(flow.active_sources), flow.teacher_of("pairs", "").model]
        own = all(m == PAPER_TEACHER or m.startswith(f"{PAPER_TEACHER}-") for m in models)
        judged = own or not self.generated or not self.config.report.reproduction
        return None if judged else flow.teacher_name

    @property
    def trains(self) -> bool:
        """Whether this run trains students."""
        return bool(self.flow.trained_students)

    @property
    def has_topics(self) -> bool:
        """Whether this run generates topic-guided instructions."""
        return self.generated and bool(self.flow.guided_instructions)

    @property
    def symbols(self) -> dict[str, str]:
        """The paper's symbol of each source."""
        return {name: source.symbol for name, source in self.config.sources.items()}

    @property
    def panels(self) -> list[tuple[str, str]]:
        """Figure 3's panels: two sources each."""
        return self.config.analysis.embeddings.panels

    @property
    def task_names(self) -> dict[str, str]:
        """Evaluated tasks: key to name."""
        return {task: self.config.tasks[task].name for task in self.config.evaluated_tasks}

    def named(self, key: str) -> NamedModel:
        """Key and name of a model."""
        return NamedModel(key=key, name=self.config.models[key].name)

    def scored(self, key: str) -> ScoredModel:
        """Description of a model for tables and figures of scores."""
        model = self.config.models[key]
        return ScoredModel(
            key=key,
            name=model.name,
            role=model.role,
            architecture=model.architecture,
            family=model.family,
            parameters=model.parameters,
        )

    @property
    def students(self) -> list[Student]:
        """Description of each student and its training."""
        models = self.config.models
        return [
            Student(
                key=key,
                name=models[key].name,
                architecture=models[key].architecture,
                initialization=models[models[key].initialization or ""].name,
                learning_rate=self.config.recipe(key).learning_rate,
            )
            for key in self.config.students
        ]

    def study(self, kind: str) -> str | None:
        """Name of people's first study of a kind, "models" or "dataset"; None without one."""
        studies = self.flow.peoples_studies
        return next((name for name in studies if self.flow.study(name).kind == kind), None)

    @property
    def judged_sample(self) -> str | None:
        """The study of pairs that shows their quality: one that the judge alone rates, if any."""
        judged = [n for n in self.flow.judged_studies if self.flow.study(n).kind == "dataset"]
        return min(judged, key=lambda name: name in self.flow.peoples_studies, default=None)

    @property
    def rated_models(self) -> dict[str, str]:
        """Models of the first study of models: key to name; empty without such a study."""
        study = self.study("models")
        models = self.config.human_evaluation.studies[study].models if study else []
        return {model: self.config.models[model].name for model in models}

    @property
    def all_rated_models(self) -> dict[str, str]:
        """Models of all studies: key to name."""
        studies = [self.flow.study(name) for name in self.flow.studies]
        models = [model for study in studies for model in study.models]
        return {model: self.config.models[model].name for model in models}

    def analysis(self, **patterns: str) -> dict[str, str]:
        """Files of the mixture, by input name; patterns are those of `lamini.paths`."""
        return {name: file.format(mixture=self.mixture) for name, file in patterns.items()}

    def evals(self, models: Iterable[str]) -> list[str]:
        """Evaluation results of models on all evaluated tasks."""
        tasks = self.config.evaluated_tasks
        return [paths.EVALUATION.format(model=m, task=t) for m in models for t in tasks]

    def seed_runs(self, student: str, baseline: str) -> SeedRuns:
        """Trainings of a student with several seeds, on its own mixture, each with its baseline.

        If the baseline is a student too, it is the baseline's training of the same size and seed.
        """
        runs, others = self._trainings(student), self._trainings(baseline)
        trained = baseline in self.config.students
        sizes = [
            [
                (key, others.get(share, {}).get(seed, "") if trained else baseline)
                for seed, key in seeds.items()
            ]
            for share, seeds in sorted(runs.items(), reverse=True)
        ]
        paired = [[pair for pair in size if pair[1]] for size in sizes]
        return [size for size in paired if len(size) > 1]

    def _trainings(self, student: str) -> dict[float, dict[int, str]]:
        """Keys of a student's trainings on its own mixture, by size and seed; itself included."""
        if not self.config.sweeps or student not in self.config.students:
            return {}
        model, recipe = self.config.models[student], self.config.recipe(student)
        trainings = {recipe.samples or 1.0: {recipe.seed: student}}
        for point in (point for sweep in self.config.sweeps for point in self.config.points(sweep)):
            if (point.student, point.mixture) == (student, model.mixture):
                trainings.setdefault(point.samples, {})[point.seed] = point.key
        return trainings

    def seed_evals(self, runs: Iterable[SeedRuns]) -> list[str]:
        """Evaluation results of the sweeps' trainings, on the tasks of their sweeps."""
        wanted = {key for sizes in runs for size in sizes for pair in size for key in pair}
        swept = {
            paths.EVALUATION.format(model=point.key, task=task): None
            for sweep in self.config.sweeps
            for point in self.config.points(sweep)
            for task in self.flow.sweep_tasks(sweep)
            if point.key in wanted and point.key not in self.config.students
        }
        return list(swept)

    def checkpoints(self, pattern: str) -> list[str]:
        """One file of every student's checkpoint."""
        return [pattern.format(model=model) for model in self.config.students]

    def rated(self, kind: str, pattern: str) -> str:
        """A file of the first study of a kind."""
        return pattern.format(study=self.study(kind))

    @property
    def summaries(self) -> list[str]:
        """Summaries of the ratings of all studies."""
        return [paths.RATING_SUMMARY.format(study=study) for study in self.flow.studies]


def published(name: str, **others: str) -> dict[str, str]:
    """Files of the published numbers as inputs; part of the repository, so `ancient`."""
    names = {"published": name, **others}
    files = rule_inputs(f"{PAPER}/{file}.csv" for file in names.values())
    return dict(zip(names, files, strict=True))
