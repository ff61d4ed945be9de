"""Input and output files of the rules, and locations of models and tokenizers."""

from functools import cached_property
from pathlib import Path

from lamini import paths
from lamini.evaluation.data import all_data, mirror_path
from lamini.files import matching_files
from lamini.human_evaluation.assignment import annotator_names
from lamini.settings.evaluation import TaskData
from lamini.settings.params.common import Location
from lamini.settings.students import Weights
from lamini.user_files import files_of, rule_inputs
from lamini.workflow.names import Names
from lamini.workflow.weights import user_weights_digest


class Inputs(Names):
    """Input and output paths of the rules."""

    def seed_files(self, source: str) -> list[str]:
        """Local seed files of a source; empty if the seeds come from the hub."""
        local = self.source(source).seeds.local
        return [local.path] if local else []

    @cached_property
    def hidden_categories(self) -> list[str]:
        """Dumps of the tables `page_props` and `page`; empty if hidden categories are not known."""
        hidden = self.config.topics.hidden
        return [hidden.page_props, hidden.page] if hidden else []

    def prompt_template(self, source: str) -> list[str]:
        """Template file of a source's instruction prompt."""
        return [self.instruction_requests(source).prompt.template]

    def topics(self, source: str) -> list[str]:
        """The topic list, for topic-guided sources; empty for others."""
        generation = self.source(source).generation
        guided = generation is not None and generation.topics_per_request > 0
        return [paths.TOPICS] if guided else []

    def query_inputs(self, source: str) -> list[str]:
        """Inputs of `select_queries`: the source's generated instructions, or its prompts."""
        if self.source(source).generation:
            return self.shard_files(paths.INSTRUCTIONS, source)
        return [paths.PROMPTS.format(source=source)]

    def shard_files(self, pattern: str, source: str) -> list[str]:
        """Files of all shards of a source; `pattern` is one of `lamini.paths`."""
        return [pattern.format(source=source, shard=shard) for shard in self.shards(source)]

    def mixture_pairs(self, mixture: str) -> list[str]:
        """All pair shards of a mixture, in the order of its sources."""
        sources = self.config.mixtures[mixture].sources
        return [path for source in sources for path in self.shard_files(paths.PAIRS, source)]

    def mixture_hits(self, mixture: str) -> list[str]:
        """Contamination hits that a decontaminated mixture leaves out; empty for other mixtures."""
        decontamination = self.config.mixtures[mixture].decontamination
        if decontamination is None:
            return []
        return [paths.CONTAMINATION_HITS.format(mixture=decontamination.mixture)]

    @cached_property
    def published_files(self) -> list[str]:
        """Local files or folder of the published dataset; empty if it comes from the hub."""
        published = self.config.published
        if published is None or published.local is None:
            return []
        path = published.local.path
        return [str(file) for file in matching_files(path)] or [path]

    def tokenizer_dataset(self, tokenizer: str, pattern: str) -> str:
        """File of the dataset with the training text of a tokenizer."""
        train = self.config.tokenizers[tokenizer].train
        assert train is not None
        return pattern.format(mixture=train.mixture)

    def task_files(self, batch: str) -> list[str]:
        """Local data files of a batch's tasks; empty if the data come from the hub."""
        mirror = self.config.evaluation.mirror
        if mirror is None:
            return []
        data = (item for task in self.batches[batch] for item in all_data(self.config.tasks[task]))
        return list(dict.fromkeys(f"{mirror}/{mirror_path(item)}" for item in data))

    def definition_files(self, batch: str) -> list[str]:
        """All files in the folders with user-defined tasks (`include_path`) of a batch."""
        folders = {self.config.tasks[task].include_path for task in self.batches[batch]}
        return [str(file) for folder in sorted(filter(None, folders)) for file in files_of(folder)]

    @cached_property
    def task_data(self) -> dict[str, TaskData]:
        """Hub locations of the evaluated tasks' data, by their path in a local mirror."""
        tasks = [self.config.tasks[task] for task in self.config.evaluated_tasks]
        data = [item for task in tasks for item in all_data(task)]
        return {mirror_path(item).removesuffix(".jsonl"): item for item in data}

    def sample_files(self, batch: str) -> list[str]:
        """Files beside the results of a batch's tasks, with the wildcard `model`: requests and
        outputs (`evaluation.samples`), and lm-eval's own files; empty if none are written."""
        evaluation = self.config.evaluation
        patterns = [paths.SAMPLES] if evaluation.samples else []
        if evaluation.lm_eval_files:
            patterns += [paths.LM_EVAL_RESULTS, paths.LM_EVAL_SAMPLES]
        return [p.replace("{task}", task) for p in patterns for task in self.batches[batch]]

    def tokenizer_input(self, tokenizer: str) -> list[str]:
        """Manifest of a tokenizer that the pipeline makes; empty for other tokenizers."""
        definition = self.config.tokenizers[tokenizer]
        if definition.train:
            return [paths.TOKENIZER_MANIFEST.format(tokenizer=tokenizer)]
        return self.model_input(definition.model) if definition.model else []

    def model_input(self, model: str) -> list[str]:
        """Manifest of a model that the pipeline trains or builds; empty for other models."""
        definition = self.config.models[model]
        if definition.role == "student":
            trained = self.config.checkpoints == "trained"
            return [paths.CHECKPOINT_MANIFEST.format(model=model)] if trained else []
        weights = weights_of(definition.weights)
        return [paths.PRETRAINED_MANIFEST.format(model=model)] if weights.build else []

    def build_inputs(self, model: str) -> list[str]:
        """Inputs of `build_model`: for random weights the tokenizer, which sets the vocabulary."""
        definition = self.config.models[model]
        build = weights_of(definition.weights).build
        assert build is not None
        return self.tokenizer_input(definition.tokenizer) if build.kind == "random" else []

    def tokenized(self, model: str, pattern: str) -> str:
        """A student's token cache: its folder or its manifest."""
        definition = self.config.models[model]
        return pattern.format(mixture=definition.mixture, tokenizer=definition.tokenizer)

    def sampled_dataset(self, model: str) -> list[str]:
        """The dataset of a student that trains on a share of it; empty for other students."""
        if self.config.recipe(model).samples is None:
            return []
        return [paths.DATASET.format(mixture=self.config.models[model].mixture)]

    def sweep_manifests(self, sweep: str) -> list[str]:
        """Manifests of a sweep's students, in the order of its points."""
        points = self.config.points(sweep)
        return [paths.CHECKPOINT_MANIFEST.format(model=point.key) for point in points]

    def sweep_evals(self, sweep: str) -> list[str]:
        """Evaluation results of a sweep's students."""
        tasks = self.sweep_tasks(sweep)
        points = self.config.points(sweep)
        return [paths.EVALUATION.format(model=p.key, task=t) for p in points for t in tasks]

    def study_inputs(self, study: str) -> dict[str, list[str]]:
        """Inputs of a study: the models' answers, or the dataset and its manifest."""
        from snakemake.io import ancient

        definition = self.study(study)
        if definition.kind == "models":
            exclude = [definition.exclude] if definition.exclude else []
            pattern = paths.ANSWERS if definition.questions is None else paths.STUDY_ANSWERS
            answers = [pattern.format(study=study, model=model) for model in definition.models]
            return {"answers": answers, "exclude": rule_inputs(exclude), "dataset": []}
        mixture = self.study_mixture(study)
        return {
            "answers": [],
            "exclude": [],
            "manifest": [paths.DATASET_MANIFEST.format(mixture=mixture)],
            "dataset": [ancient(paths.DATASET.format(mixture=mixture))],
        }

    def rating_sheets(self, study: str) -> list[str]:
        """Annotation pages of a study, one per annotator."""
        names = annotator_names(self.study(study).annotators)
        return [paths.SHEET.format(study=study, annotator=name) for name in names]

    def verdicts(self, study: str) -> list[str]:
        """The judge's ratings; empty if the study has no judge."""
        return [paths.VERDICTS.format(study=study)] if self.study(study).judge else []

    def rating_files(self, study: str) -> list[str]:
        """Finished rating files that are in a study's folder now."""
        return sorted(str(path) for path in Path(self.rating_folder(study)).glob("*.json"))

    def rating_folder(self, study: str) -> str:
        """Folder of a study's finished rating files."""
        return self.study(study).ratings or f"config/ratings/{study}"

    @cached_property
    def evaluated_files(self) -> list[str]:
        """Local data files of all evaluated tasks; empty if the data come from the hub."""
        return [path for batch in self.batches for path in self.task_files(batch)]

    @cached_property
    def guided_instructions(self) -> list[str]:
        """Instruction shards of all topic-guided sources."""
        guided = [source for source in self.generated_sources if self.topics(source)]
        return [path for source in guided for path in self.shard_files(paths.INSTRUCTIONS, source)]

    # --- Locations of models and tokenizers -------------------------------------------------------

    def model_location(self, model: str) -> Location:
        """Location of a model's weights."""
        definition = self.config.models[model]
        if definition.role == "student" and self.config.checkpoints == "released":
            assert definition.published_as is not None  # checked by the settings
            return Location(
                path=definition.published_as, revision=definition.published_revision or "main"
            )
        if definition.role == "student":
            return Location(path=paths.CHECKPOINT.format(model=model))
        weights = weights_of(definition.weights)
        if weights.hub:
            return Location(path=weights.hub.repo, revision=weights.hub.revision)
        return _local(weights.folder or paths.PRETRAINED.format(model=model))

    def tokenizer_location(self, tokenizer: str) -> Location:
        """Location of a tokenizer."""
        definition = self.config.tokenizers[tokenizer]
        if definition.hub:
            return Location(path=definition.hub.repo, revision=definition.hub.revision)
        if definition.model:
            return self.model_location(definition.model)
        return _local(definition.folder or paths.TOKENIZER.format(tokenizer=tokenizer))


def _local(path: str) -> Location:
    return Location(path=path, digest=user_weights_digest(path))


def weights_of(weights: Weights | None) -> Weights:
    """Return the weights of a reference model, which the settings guarantee to exist."""
    assert weights is not None
    return weights
