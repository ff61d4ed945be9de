"""What the rules ask of the configuration: names to expand, inputs, params, resources.

The Snakefile imports this module in every job, so it stays light. Rules hold no logic of their
own: each `params` here is exactly what the rule's result depends on, in a fixed order, so that a
change recomputes only what lies downstream of it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lamini.errors import SettingsError
from lamini.roots import fingerprint, root_inputs
from lamini.settings import Config, load_settings
from lamini.settings.human_evaluation import Study, annotator_names
from lamini.settings.sources import Source
from lamini.settings.students import Weights

Params = dict[str, Any]


class Workflow:
    """The configuration as the rules see it.

    Args:
        config: Snakemake's merged `config`.

    Raises:
        SettingsError: when the configuration is wrong.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config: Config = load_settings(config)

    @classmethod
    def from_snakemake(cls, config: Mapping[str, Any]) -> "Workflow":
        """As the constructor, but a wrong configuration ends Snakemake with the message alone."""
        from snakemake.exceptions import WorkflowError

        try:
            return cls(config)
        except SettingsError as error:
            raise WorkflowError(str(error)) from None

    # --- Names ------------------------------------------------------------------------------------

    @cached_property
    def wildcards(self) -> dict[str, str]:
        """What each wildcard may be: a typo is "no rule to produce", and launches nothing."""
        return {
            "download": one_of(self.config.downloads),
            "source": one_of(self.active_sources),
            "shard": r"\d{4}",
            "mixture": one_of(self.config.mixtures),
            "tokenizer": one_of(self.config.tokenizers),
            "model": one_of([*self.evaluated_models, *self.built_models]),
            "task": one_of(self.config.evaluated_tasks),
            "study": one_of(self.studies),
        }

    @cached_property
    def evaluated_models(self) -> list[str]:
        """References, then students: everything that gets scores and answers."""
        return [*self.config.references, *self.config.students]

    @cached_property
    def used_mixtures(self) -> list[str]:
        """Mixtures that an active student or study needs; the first is the analysed one."""
        used = [self.config.models[student].mixture for student in self.config.students]
        used += [study.mixture for study in self.config.human_evaluation.studies.values()]
        used += list(self.config.mixtures)[:1]
        mixtures = [self.config.mixtures[name] for name in used]
        used += [m.decontamination.mixture for m in mixtures if m.decontamination]
        return list(dict.fromkeys(used))

    @cached_property
    def analysed_mixture(self) -> str:
        """The mixture of the paper's tables and figures: the first one that is defined."""
        return next(iter(self.config.mixtures))

    @cached_property
    def active_sources(self) -> list[str]:
        """Sources of the used mixtures, in the order of their definition."""
        used = {s for m in self.used_mixtures for s in self.config.mixtures[m].sources}
        return [source for source in self.config.sources if source in used]

    @cached_property
    def generated_sources(self) -> list[str]:
        """Active sources whose instructions the teacher writes."""
        return [s for s in self.active_sources if self.config.sources[s].generation]

    @cached_property
    def batches(self) -> dict[str, list[str]]:
        """Evaluated tasks by the job that runs them."""
        return self.config.evaluation_batches()

    @cached_property
    def studies(self) -> list[str]:
        """Names of the human-evaluation studies."""
        return list(self.config.human_evaluation.studies)

    def source(self, name: str) -> Source:
        """Settings of one source."""
        return self.config.sources[name]

    def study(self, name: str) -> Study:
        """Settings of one study."""
        return self.config.human_evaluation.studies[name]

    def shards(self, source: str) -> list[str]:
        """Shard names of a source: "0000", "0001" ..."""
        return [f"{shard:04}" for shard in range(self.source(source).shards)]

    # --- Inputs -----------------------------------------------------------------------------------

    def seed_files(self, source: str) -> list[str]:
        """The local seed files of a source; none when they come from the hub."""
        local = self.source(source).seeds.local
        return [local.path] if local else []

    def topics(self, source: str) -> list[str]:
        """The topic list, for sources that it guides."""
        generation = self.source(source).generation
        guided = generation is not None and generation.topics_per_request > 0
        return ["results/topics/topics.jsonl"] if guided else []

    def query_inputs(self, source: str) -> list[str]:
        """What the queries of a source are selected from: its instructions, or its prompts."""
        if self.source(source).generation:
            return [f"results/instructions/{source}/{s}.jsonl" for s in self.shards(source)]
        return [f"results/prompts/{source}.jsonl"]

    def files(self, kind: str, source: str, ending: str = ".jsonl") -> list[str]:
        """All shard files of one kind (`queries`, `pairs`, ...) of a source."""
        return [f"results/{kind}/{source}/{shard}{ending}" for shard in self.shards(source)]

    def mixture_pairs(self, mixture: str) -> list[str]:
        """All pair shards of a mixture, in the order of its sources."""
        sources = self.config.mixtures[mixture].sources
        return [path for source in sources for path in self.files("pairs", source)]

    def mixture_hits(self, mixture: str) -> list[str]:
        """The hits that a decontaminated mixture leaves out; none for any other."""
        decontamination = self.config.mixtures[mixture].decontamination
        if decontamination is None:
            return []
        return [f"results/analysis/{decontamination.mixture}/contamination.parquet"]

    @cached_property
    def published_files(self) -> list[str]:
        """The local file or folder of the published dataset; none when it comes from the hub."""
        published = self.config.published
        return [published.local.path] if published and published.local else []

    @cached_property
    def trained_tokenizers(self) -> list[str]:
        """Tokenizers that the pipeline trains."""
        return [name for name, tokenizer in self.config.tokenizers.items() if tokenizer.train]

    def tokenizer_dataset(self, tokenizer: str, ending: str) -> str:
        """The dataset file that a tokenizer is trained on."""
        train = self.config.tokenizers[tokenizer].train
        assert train is not None
        return f"results/dataset/{train.mixture}.{ending}"

    def task_files(self, batch: str) -> list[str]:
        """Local data of a batch's tasks; none when it comes from the hub."""
        mirror = self.config.evaluation.mirror
        if mirror is None:
            return []
        return [f"{mirror}/{self.config.tasks[task].data.path}" for task in self.batches[batch]]

    @cached_property
    def task_data(self) -> dict[str, Params]:
        """Where the evaluated tasks' data are on the hub, by their path below a mirror."""
        data = [self.config.tasks[task].data for task in self.config.evaluated_tasks]
        return {d.path.removesuffix(".jsonl"): d.as_params() for d in data}

    def sample_files(self, batch: str) -> list[str]:
        """Files of what was sent in a batch's tasks, with the wildcard `model`; often none."""
        tasks = self.batches[batch] if self.config.evaluation.samples else []
        return [f"results/evals/{{model}}/{task}.samples.jsonl.zst" for task in tasks]

    def tokenizer_input(self, tokenizer: str) -> list[str]:
        """The manifest of a tokenizer that the pipeline makes; none for one from elsewhere."""
        definition = self.config.tokenizers[tokenizer]
        if definition.train:
            return [f"results/tokenizers/{tokenizer}/manifest.json"]
        return self.model_input(definition.model) if definition.model else []

    def model_input(self, model: str) -> list[str]:
        """The manifest of a model that the pipeline trains or builds; none for any other."""
        definition = self.config.models[model]
        if definition.role == "student":
            return [f"results/checkpoints/{model}/final/manifest.json"]
        weights = _weights(definition.weights)
        return [f"results/pretrained/{model}/manifest.json"] if weights.build else []

    def build_inputs(self, model: str) -> list[str]:
        """What a built model needs: the tokenizer that gives its vocabulary."""
        definition = self.config.models[model]
        build = _weights(definition.weights).build
        assert build is not None
        return self.tokenizer_input(definition.tokenizer) if build.kind == "random" else []

    @cached_property
    def built_models(self) -> list[str]:
        """Reference models whose weights the pipeline makes."""
        models = self.config.models.items()
        return [name for name, model in models if model.weights and model.weights.build]

    def tokenized(self, model: str) -> str:
        """The folder of the token cache that a student is trained on."""
        definition = self.config.models[model]
        return f"results/tokenized/{definition.mixture}/{definition.tokenizer}"

    @cached_property
    def judged_studies(self) -> list[str]:
        """Studies that the teacher rates as well."""
        return [name for name in self.studies if self.study(name).judge]

    def study_inputs(self, study: str) -> dict[str, Any]:
        """What a study rates: the models' answers, or the dataset by its manifest."""
        from snakemake.io import ancient

        definition = self.study(study)
        if definition.kind == "models":
            exclude = [definition.exclude] if definition.exclude else []
            answers = [f"results/answers/{model}.jsonl" for model in definition.models]
            return {"answers": answers, "exclude": root_inputs(exclude)}
        dataset = f"results/dataset/{definition.mixture}"
        return {"manifest": f"{dataset}.manifest.json", "dataset": ancient(f"{dataset}.parquet")}

    def rating_sheets(self, study: str) -> list[str]:
        """The annotation pages of a study, one for each annotator."""
        names = annotator_names(self.study(study).annotators)
        return [f"results/human_eval/{study}/sheets/{name}.html" for name in names]

    def verdicts(self, study: str) -> list[str]:
        """The judge's ratings, where the study has a judge."""
        return [f"results/human_eval/{study}/verdicts.jsonl"] if self.study(study).judge else []

    def rating_files(self, study: str) -> list[str]:
        """Finished rating files of a study: what lies in its folder now."""
        folder = self.study(study).ratings or f"config/ratings/{study}"
        return sorted(str(path) for path in Path(folder).glob("*.json"))

    # --- Locations of models and tokenizers -------------------------------------------------------

    def model_location(self, model: str) -> Params:
        """`path` (folder or hub id) and `revision` of a model's weights."""
        definition = self.config.models[model]
        if definition.role == "student":
            return {"path": f"results/checkpoints/{model}/final", "revision": None}
        weights = _weights(definition.weights)
        if weights.hub:
            return {"path": weights.hub.repo, "revision": weights.hub.revision}
        return {"path": weights.folder or f"results/pretrained/{model}", "revision": None}

    def tokenizer_location(self, tokenizer: str) -> Params:
        """`path` (folder or hub id) and `revision` of a tokenizer."""
        definition = self.config.tokenizers[tokenizer]
        if definition.hub:
            return {"path": definition.hub.repo, "revision": definition.hub.revision}
        if definition.model:
            return self.model_location(definition.model)
        return {"path": definition.folder or f"results/tokenizers/{tokenizer}", "revision": None}

    # --- Params: what each rule's result depends on -----------------------------------------------

    def prompt_params(self, source: str) -> Params:
        """Of `prepare_prompts`."""
        definition = self.source(source)
        return {
            "source": source,
            "seeds": definition.seeds.as_params(),
            "files": fingerprint(self.seed_files(source)),
            "samples": None if definition.generation else definition.samples,
            "seed": self.config.seed,
            "version": definition.version,
        }

    def topic_params(self) -> Params:
        """Of `select_topics`."""
        topics = self.config.topics
        return {"topics": topics.as_params(), "files": fingerprint([topics.dump])}

    def instruction_params(self, source: str, shard: str) -> Params:
        """Of `generate_instructions`."""
        definition = self.source(source)
        assert definition.generation is not None
        return {
            "source": source,
            "generation": definition.generation.as_params(),
            "model": self.config.teacher.model,
            "requests": self.config.teacher.instructions.as_params(),
            "seed_requests": self.config.teacher.seed_requests,
            "count": definition.shard_sizes()[int(shard)],
            "seed": self.config.seed,
            "version": definition.version,
        }

    def query_params(self, source: str) -> Params:
        """Of `select_queries`."""
        return {
            "source": source,
            "deduplication": self.config.deduplication.as_params(),
            "shards": self.source(source).shards,
            "version": self.source(source).version,
        }

    def pair_params(self, source: str) -> Params:
        """Of `generate_pairs`."""
        return {
            "source": source,
            "model": self.config.teacher.model,
            "responses": self.config.teacher.responses.as_params(),
            "seed_requests": self.config.teacher.seed_requests,
            "seed": self.config.seed,
        }

    def mixture_params(self, mixture: str) -> Params:
        """Of `merge_pairs` and `import_published`."""
        published = self.config.published if self.config.dataset == "published" else None
        return {
            "mixture": mixture,
            **self.config.mixtures[mixture].as_params(),
            "published": published.as_params() if published else None,
            "files": fingerprint(self.published_files),
        }

    def analysis_params(self, mixture: str) -> Params:
        """Of `measure_dataset`."""
        own = {"tokenizer", "mattr_window", "mattr_texts", "version"}
        sources = self.config.mixtures[mixture].sources
        return {
            **self.config.analysis.model_dump(mode="json", include=own),
            "tokenizer_location": self.tokenizer_location(self.config.analysis.tokenizer),
            "symbols": {name: self.source(name).symbol for name in sources},
            "seed": self.config.seed,
        }

    def embedding_params(self) -> Params:
        """Of `embed_instructions`: not how the embeddings are drawn, as computing them is dear."""
        embeddings = self.config.analysis.embeddings
        own = {"model", "revision", "samples", "version"}
        return {
            **embeddings.model_dump(mode="json", include=own),
            "sources": sorted({source for panel in embeddings.panels for source in panel}),
            "seed": self.config.seed,
        }

    def projection_params(self) -> Params:
        """Of `project_embeddings`."""
        embeddings = self.config.analysis.embeddings
        own = {"panels", "perplexity", "replicates", "version"}
        return {**embeddings.model_dump(mode="json", include=own), "seed": self.config.seed}

    @cached_property
    def evaluated_files(self) -> list[str]:
        """Local data of all evaluated tasks; none when it comes from the hub."""
        return [path for batch in self.batches for path in self.task_files(batch)]

    @cached_property
    def guided_instructions(self) -> list[str]:
        """Instruction shards of all sources that topics guide."""
        guided = [source for source in self.generated_sources if self.topics(source)]
        return [path for source in guided for path in self.files("instructions", source)]

    def coverage_params(self) -> Params:
        """Of `measure_topic_coverage`."""
        return {"version": self.config.analysis.version}

    def duplicate_params(self) -> Params:
        """Of `find_near_duplicates`."""
        return self.config.analysis.duplicates.as_params()

    def funnel_params(self) -> Params:
        """Of `count_funnel`."""
        return self.config.analysis.funnel.as_params()

    def verb_params(self) -> Params:
        """Of `count_verbs`."""
        return {**self.config.analysis.verbs.as_params(), "seed": self.config.seed}

    def contamination_params(self) -> Params:
        """Of `find_contamination`."""
        tasks = {task: self.config.tasks[task].data for task in self.config.evaluated_tasks}
        return {
            "contamination": self.config.analysis.contamination.as_params(),
            "tasks": {task: data.as_params() for task, data in tasks.items()},
            "mirror": self.config.evaluation.mirror,
            "files": fingerprint(self.evaluated_files),
        }

    def tokenizer_params(self, tokenizer: str) -> Params:
        """Of `train_tokenizer`."""
        definition = self.config.tokenizers[tokenizer]
        assert definition.train is not None
        return {"train": definition.train.as_params(), "pad_token": definition.pad_token}

    def build_params(self, model: str) -> Params:
        """Of `build_model`."""
        definition = self.config.models[model]
        build = _weights(definition.weights).build
        assert build is not None
        random = build.kind == "random"
        return {
            "architecture": definition.architecture,
            "build": build.as_params(),
            "tokenizer": self.tokenizer_location(definition.tokenizer) if random else None,
            "seed": self.config.seed,
        }

    def tokenized_params(self, tokenizer: str) -> Params:
        """Of `tokenize_pairs`."""
        definition = self.config.tokenizers[tokenizer]
        return {
            "tokenizer": self.tokenizer_location(tokenizer),
            "prompt_format": definition.prompt_format,
            "pad_token": definition.pad_token,
        }

    def training_params(self, model: str) -> Params:
        """Of `train_model`."""
        definition = self.config.models[model]
        assert definition.initialization is not None
        tokenizer = self.config.tokenizers[definition.tokenizer]
        return {
            "model": model,
            "name": definition.name,
            "architecture": definition.architecture,
            "family": definition.family,
            "initialization": self.model_location(definition.initialization),
            "tokenizer": self.tokenizer_location(definition.tokenizer),
            "prompt_format": tokenizer.prompt_format,
            "pad_token": tokenizer.pad_token,
            "recipe": self.config.recipe(model).as_params(),
        }

    def training_json(self, model: str) -> str:
        """`training_params` as one command-line argument."""
        return json.dumps(self.training_params(model), ensure_ascii=False)

    def asked_model_params(self, model: str) -> Params:
        """A model as evaluation and answers see it."""
        definition = self.config.models[model]
        tokenizer = self.config.tokenizers[definition.tokenizer]
        return {
            "model": model,
            "architecture": definition.architecture,
            "prompt_format": tokenizer.prompt_format if self.config.is_wrapped(model) else None,
            **self.model_location(model),
        }

    def evaluation_params(self, model: str, batch: str) -> Params:
        """Of `evaluate_{batch}`."""
        without_effect = {"batches", "tokens_per_batch"}
        evaluation = self.config.evaluation.model_dump(mode="json", exclude=without_effect)
        return {
            "model": self.asked_model_params(model),
            "tasks": {task: self.config.tasks[task].as_params() for task in self.batches[batch]},
            "evaluation": evaluation,
            "files": fingerprint(self.task_files(batch)),
        }

    def answer_params(self, model: str) -> Params:
        """Of `generate_answers`."""
        return {
            "model": self.asked_model_params(model),
            "answers": self.config.answers.as_params(),
            "files": fingerprint([self.config.answers.instructions]),
            "seed": self.config.seed,
        }

    def study_params(self, study: str) -> Params:
        """Of `select_items`."""
        definition = self.study(study)
        later = {"ratings", "judge", "replicates"}
        return {
            "study": study,
            **definition.model_dump(mode="json", exclude=later),
            "files": fingerprint([definition.exclude]) if definition.exclude else None,
            "seed": self.config.seed,
        }

    def sheet_params(self, study: str) -> Params:
        """Of `make_rating_sheets_{study}`."""
        definition = self.study(study)
        return {"study": study, "kind": definition.kind, "version": definition.version}

    def judge_params(self, study: str) -> Params:
        """Of `judge_items`."""
        judge = self.study(study).judge
        assert judge is not None
        return {
            "study": study,
            "model": self.config.teacher.model,
            "judge": judge.as_params(),
            "seed_requests": self.config.teacher.seed_requests,
            "seed": self.config.seed,
        }

    def rating_params(self, study: str) -> Params:
        """Of `collect_ratings`."""
        definition = self.study(study)
        return {
            "study": study,
            "kind": definition.kind,
            "annotators": annotator_names(definition.annotators),
            "replicates": definition.replicates,
            "files": fingerprint(self.rating_files(study)),
            "seed": self.config.seed,
            "version": definition.version,
        }

    # --- Resources: what a job needs, by model and attempt ----------------------------------------

    def teacher_threads(self) -> int:
        """Threads of a job that talks to the teacher: the local server's, else one."""
        teacher = self.config.teacher
        if teacher.backend == "local" and teacher.server and teacher.mode == "live":
            return teacher.server.threads
        return 1

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


def one_of(names: Iterable[str]) -> str:
    """A regular expression that matches exactly the given names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def _weights(weights: Weights | None) -> Weights:
    """The weights of a reference model; settings have checked that they are there."""
    assert weights is not None
    return weights
