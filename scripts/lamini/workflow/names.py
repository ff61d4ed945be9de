"""Wildcard values (sources, mixtures, models, tasks, studies), read from the configuration."""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from lamini.settings import Config, load_settings
from lamini.settings.human_evaluation import Study
from lamini.settings.sources import Source
from lamini.settings.taking_part import only_taking_part
from lamini.settings.teacher import InstructionRequests, Sampling, Teacher
from lamini.workflow.weights import with_weights


class Names:
    """The configuration, and the names of its sources, mixtures, models, tasks and studies.

    `left_out` has one note per setting with models or sources that take no part in the run.

    Args:
        config: Snakemake's merged `config`.

    Raises:
        SettingsError: if the configuration is invalid.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        loaded = load_settings(config)
        taking_part, self.left_out = only_taking_part(loaded)
        teacher = with_weights(loaded.teacher)
        self.config: Config = taking_part.model_copy(update={"teacher": teacher})

    @cached_property
    def wildcards(self) -> dict[str, str]:
        """Regular expression of each wildcard, so that misspelt targets start no job."""
        return {
            "download": one_of(self.config.downloads),
            "source": one_of(self.active_sources),
            "shard": r"\d{4}",
            "mixture": one_of(self.config.mixtures),
            "tokenizer": one_of(self.config.tokenizers),
            "model": one_of([*self.evaluated_models, *self.sweep_students, *self.built_models]),
            "task": one_of(self.config.evaluated_tasks),
            "study": one_of(self.studies),
            "sweep": one_of(self.config.sweeps),
        }

    @cached_property
    def evaluated_models(self) -> list[str]:
        """Reference models, then students: all models that are evaluated and generate answers."""
        return [*self.config.references, *self.config.students]

    @cached_property
    def trained_students(self) -> list[str]:
        """Students that this run trains; none with released checkpoints."""
        return self.config.students if self.config.checkpoints == "trained" else []

    @cached_property
    def sweep_students(self) -> list[str]:
        """Students of the sweeps, except those among `students`."""
        return self.config.sweep_students

    @cached_property
    def used_mixtures(self) -> list[str]:
        """Mixtures that a student, a study, the analysis or a trained tokenizer needs."""
        students = [*self.config.students, *self.sweep_students]
        used = [self.config.models[student].mixture for student in students]
        used += [*map(self.study_mixture, self.studies), self.analysed_mixture]
        models = (self.config.models[m] for m in [*self.evaluated_models, *self.sweep_students])
        trained = (self.config.tokenizers[model.tokenizer].train for model in models)
        used += [train.mixture for train in trained if train]
        mixtures = [self.config.mixtures[name] for name in used]
        used += [m.decontamination.mixture for m in mixtures if m.decontamination]
        return list(dict.fromkeys(used))

    @cached_property
    def analysed_mixture(self) -> str:
        """The mixture that tables, figures and report show."""
        return self.config.analysed_mixture

    @cached_property
    def active_sources(self) -> list[str]:
        """Sources of the used mixtures, in the order of their definition."""
        used = {s for m in self.used_mixtures for s in self.config.mixtures[m].sources}
        return [source for source in self.config.sources if source in used]

    @cached_property
    def generated_sources(self) -> list[str]:
        """Active sources whose instructions the teacher generates."""
        return [s for s in self.active_sources if self.config.sources[s].generation]

    @cached_property
    def batches(self) -> dict[str, list[str]]:
        """Evaluated tasks by batch; one job evaluates a model on a batch."""
        return self.config.evaluation_batches()

    @cached_property
    def studies(self) -> list[str]:
        """Names of the human-evaluation studies."""
        return list(self.config.human_evaluation.studies)

    @cached_property
    def peoples_studies(self) -> list[str]:
        """Studies with annotators; the judge alone rates the others."""
        return [name for name in self.studies if self.study(name).annotators]

    @cached_property
    def built_models(self) -> list[str]:
        """Reference models whose weights the pipeline builds."""
        models = self.config.models.items()
        return [name for name, model in models if model.weights and model.weights.build]

    @cached_property
    def trained_tokenizers(self) -> list[str]:
        """Tokenizers that the pipeline trains."""
        return [name for name, tokenizer in self.config.tokenizers.items() if tokenizer.train]

    @cached_property
    def judged_studies(self) -> list[str]:
        """Studies with a judge: the teacher rates them, too."""
        return [name for name in self.studies if self.study(name).judge]

    def source(self, name: str) -> Source:
        """Settings of one source."""
        return self.config.sources[name]

    def instruction_requests(self, source: str) -> InstructionRequests:
        """Settings of a source's instruction requests: its own `requests`, or the teacher's."""
        generation = self.source(source).generation
        return (generation and generation.requests) or self.config.teacher.instructions

    def teacher_of(self, folder: str, name: str) -> Teacher:
        """Settings of the teacher for one job, with the model and the endpoints of its requests.

        Args:
            folder: folder of results that the job writes to: `instructions`, `pairs`, or another
                one for the judge.
            name: the source; the study of a judge.
        """
        source = self.config.sources.get(name)
        own = source and source.generation and source.generation.requests
        teacher = self.config.teacher
        if folder == "instructions" and own:
            return teacher.asked_by(own, teacher.instructions)
        return teacher.of_stage(folder)

    def sampling_of(self, folder: str, name: str) -> Sampling | None:
        """Sampling of the requests of one job, as in `teacher_of`; None for a judge."""
        if folder == "instructions" and name in self.config.sources:
            return self.instruction_requests(name).sampling
        return self.config.teacher.responses.sampling if folder == "pairs" else None

    def writers(self, sources: Iterable[str]) -> list[str]:
        """Models that generate the instructions of these sources, if any is not the model of the
        responses; otherwise empty."""
        generated = [name for name in sources if self.source(name).generation]
        models = [self.teacher_of("instructions", name).model for name in generated]
        different = set(models) - {self.teacher_of("pairs", "").model}
        return list(dict.fromkeys(models)) if different else []

    @cached_property
    def teacher_name(self) -> str:
        """The model of all answers, or the models of instructions and of responses."""
        answering = self.teacher_of("pairs", "").model
        writing = self.writers(self.active_sources)
        if not writing:
            return answering
        return f"{', '.join(writing)} (instructions) and {answering} (responses)"

    def sweep_tasks(self, sweep: str) -> list[str]:
        """Tasks on which a sweep's students are evaluated, in the order of `evaluated_tasks`."""
        wanted = self.config.sweeps[sweep].tasks
        evaluated = self.config.evaluated_tasks
        return evaluated if wanted is None else [task for task in evaluated if task in wanted]

    def study(self, name: str) -> Study:
        """Settings of one study."""
        return self.config.human_evaluation.studies[name]

    @cached_property
    def studies_with_questions(self) -> list[str]:
        """Studies whose models answer instructions of their own (`questions`)."""
        return [name for name in self.studies if self.study(name).questions is not None]

    def study_mixture(self, name: str) -> str:
        """Mixture that a dataset study samples."""
        return self.study(name).mixture or self.analysed_mixture

    def shards(self, source: str) -> list[str]:
        """Shard names of a source: "0000", "0001" ..."""
        return [f"{shard:04}" for shard in range(self.source(source).shards)]


def one_of(names: Iterable[str]) -> str:
    """Regular expression that matches exactly these names; if there are none, nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"
