"""Builds the params of each rule (`lamini.settings.params`) from the configuration."""

import json
from typing import Any

from lamini.human_evaluation.assignment import annotator_names
from lamini.settings.params.analysis import (
    CountFunnel,
    CountTokens,
    CountVerbs,
    EmbedInstructions,
    FindContamination,
    FindNearDuplicates,
    MeasureDataset,
    MeasureDetectors,
    MeasureMattrReadings,
    MeasureTopicCoverage,
    ProjectEmbeddings,
)
from lamini.settings.params.dataset import ExportDataset, MergePairs
from lamini.settings.params.evaluation import (
    EvaluatedModel,
    EvaluateModel,
    GenerateAnswers,
    MirrorTaskData,
)
from lamini.settings.params.generation import (
    DownloadFile,
    GenerateInstructions,
    GeneratePairs,
    PreparePrompts,
    SelectQueries,
    SelectTopics,
)
from lamini.settings.params.human_evaluation import (
    CollectRatings,
    JudgeItems,
    MakeRatingSheets,
    SelectItems,
)
from lamini.settings.params.students import (
    BuildModel,
    ChatTemplate,
    TokenizePairs,
    TrainModel,
    TrainTokenizer,
)
from lamini.settings.students import Chat
from lamini.user_files import user_files_digest
from lamini.workflow.inputs import Inputs, weights_of
from lamini.workflow.template_text import template_text
from lamini.workflow.weights import user_weights_digest


class RuleParams(Inputs):
    """Params of all rules, one method per rule."""

    def download_params(self, download: str) -> DownloadFile:
        """Params of rule `download_file`."""
        return DownloadFile(**dict(self.config.downloads[download]))

    def prompt_params(self, source: str) -> PreparePrompts:
        """Params of rule `prepare_prompts`."""
        definition = self.source(source)
        return PreparePrompts(
            source=source,
            seeds=definition.seeds,
            files=user_files_digest(self.seed_files(source)),
            samples=None if definition.generation else definition.samples,
            seed=self.config.seed,
            version=definition.version,
        )

    def topic_params(self) -> SelectTopics:
        """Params of rule `select_topics`."""
        topics = self.config.topics
        files = user_files_digest([topics.dump, *self.hidden_categories])
        return SelectTopics(topics=topics, files=files)

    def instruction_params(self, source: str, shard: str) -> GenerateInstructions:
        """Params of rule `generate_instructions`."""
        definition = self.source(source)
        generation = definition.generation
        assert generation is not None
        if generation.requests:
            requests = generation.requests.without_model()
            generation = generation.model_copy(update={"requests": requests})
        return GenerateInstructions(
            source=source,
            generation=generation,
            model=self.teacher_of("instructions", source).model,
            requests=self.config.teacher.instructions.without_model(),
            seed_requests=self.config.teacher.seed_requests,
            count=definition.shard_sizes()[int(shard)],
            seed=self.config.seed,
            version=definition.version,
            files=user_files_digest(self.prompt_template(source)),
        )

    def query_params(self, source: str) -> SelectQueries:
        """Params of rule `select_queries`."""
        return SelectQueries(
            source=source,
            deduplication=self.config.deduplication,
            shards=self.source(source).shards,
            version=self.source(source).version,
        )

    def pair_params(self, source: str) -> GeneratePairs:
        """Params of rule `generate_pairs`."""
        return GeneratePairs(
            source=source,
            model=self.teacher_of("pairs", source).model,
            responses=self.config.teacher.responses.without_model(),
            seed_requests=self.config.teacher.seed_requests,
            seed=self.config.seed,
        )

    def price_params(self) -> dict[str, Any]:
        """Params of rule `summarize_generation`."""
        return {name: price.as_params() for name, price in self.config.teacher.prices.items()}

    def mixture_params(self, mixture: str) -> MergePairs:
        """Params of rules `merge_pairs` and `import_published`."""
        return MergePairs(
            mixture=mixture,
            **dict(self.config.mixtures[mixture]),
            published=self.config.published if self.config.dataset == "published" else None,
            files=user_files_digest(self.published_files),
            writers=self.writers(self.config.mixtures[mixture].sources)
            if self.config.dataset == "generated"
            else [],
        )

    def export_params(self, mixture: str) -> ExportDataset:
        """Params of rule `export_dataset`."""
        return ExportDataset(mixture=mixture)

    def analysis_params(self, mixture: str) -> MeasureDataset:
        """Params of rule `measure_dataset`."""
        analysis = self.config.analysis
        return MeasureDataset(
            tokenizer=analysis.tokenizer,
            mattr_window=analysis.mattr_window,
            mattr_tokens=analysis.mattr_tokens,
            mattr_lower_case=analysis.mattr_lower_case,
            mattr_texts=analysis.mattr_texts,
            version=analysis.version,
            **dict(self.token_count_params(mixture, analysis.tokenizer)),
            seed=self.config.seed,
        )

    def mattr_reading_params(self) -> MeasureMattrReadings:
        """Params of rule `measure_mattr_readings`."""
        analysis = self.config.analysis
        return MeasureMattrReadings(
            mattr_window=analysis.mattr_window,
            tokenizer_location=self.tokenizer_location(analysis.tokenizer),
            version=analysis.version,
            seed=self.config.seed,
        )

    def token_count_params(self, mixture: str, tokenizer: str) -> CountTokens:
        """Params of rule `count_tokens`."""
        sources = self.config.mixtures[mixture].sources
        return CountTokens(
            tokenizer_location=self.tokenizer_location(tokenizer),
            symbols={name: self.source(name).symbol for name in sources},
        )

    def embedding_params(self) -> EmbedInstructions:
        """Params of rule `embed_instructions`."""
        embeddings = self.config.analysis.embeddings
        return EmbedInstructions(
            model=embeddings.model,
            revision=embeddings.revision,
            samples=embeddings.samples,
            version=embeddings.version,
            sources=sorted({source for panel in embeddings.panels for source in panel}),
            seed=self.config.seed,
        )

    def projection_params(self) -> ProjectEmbeddings:
        """Params of rule `project_embeddings`."""
        embeddings = self.config.analysis.embeddings
        return ProjectEmbeddings(
            panels=embeddings.panels,
            perplexity=embeddings.perplexity,
            version=embeddings.version,
            seed=self.config.seed,
        )

    def coverage_params(self) -> MeasureTopicCoverage:
        """Params of rule `measure_topic_coverage`."""
        return MeasureTopicCoverage(version=self.config.analysis.version)

    def duplicate_params(self) -> FindNearDuplicates:
        """Params of rule `find_near_duplicates`."""
        return FindNearDuplicates(**dict(self.config.analysis.duplicates))

    def funnel_params(self) -> CountFunnel:
        """Params of rule `count_funnel`."""
        return CountFunnel(**dict(self.config.analysis.funnel))

    def detector_params(self) -> MeasureDetectors:
        """Params of rule `measure_detectors`."""
        analysis = self.config.analysis
        return MeasureDetectors(
            language_score=analysis.funnel.language_score,
            model=analysis.verbs.model,
            files=user_files_digest([analysis.detector_samples]),
        )

    def verb_params(self) -> CountVerbs:
        """Params of rule `count_verbs`."""
        return CountVerbs(**dict(self.config.analysis.verbs), seed=self.config.seed)

    def contamination_params(self) -> FindContamination:
        """Params of rule `find_contamination`."""
        return FindContamination(
            contamination=self.config.analysis.contamination,
            tasks={task: self.config.tasks[task].data for task in self.config.evaluated_tasks},
            mirror=self.config.evaluation.mirror,
            files=user_files_digest(self.evaluated_files),
        )

    def tokenizer_params(self, tokenizer: str) -> TrainTokenizer:
        """Params of rule `train_tokenizer`."""
        definition = self.config.tokenizers[tokenizer]
        assert definition.train is not None
        return TrainTokenizer(train=definition.train, pad_token=definition.pad_token)

    def build_params(self, model: str) -> BuildModel:
        """Params of rule `build_model`."""
        definition = self.config.models[model]
        build = weights_of(definition.weights).build
        assert build is not None
        random = build.kind == "random"
        return BuildModel(
            architecture=definition.architecture,
            build=build,
            tokenizer=self.tokenizer_location(definition.tokenizer) if random else None,
            digest=user_weights_digest(build.path) if build.path else None,
            seed=self.config.seed,
        )

    def chat_template(self, tokenizer: str) -> ChatTemplate | None:
        """Chat template of a tokenizer; None for other prompt formats.

        Raises:
            SettingsError: if its file is missing.
        """
        definition = self.config.tokenizers[tokenizer]
        if definition.prompt_format != "chat":
            return None
        chat = definition.chat or Chat()
        template = None
        if chat.template is not None:
            template = template_text(chat.template, f"tokenizers.{tokenizer}.chat.template")
        return ChatTemplate(template=template, system=chat.system, options=chat.options)

    def tokenized_params(self, tokenizer: str, mixture: str) -> TokenizePairs:
        """Params of rule `tokenize_pairs`."""
        definition = self.config.tokenizers[tokenizer]
        thinking = self.config.mixtures[mixture].thinking
        return TokenizePairs(
            tokenizer=self.tokenizer_location(tokenizer),
            prompt_format=definition.prompt_format,
            chat=self.chat_template(tokenizer),
            pad_token=definition.pad_token,
            thinking=None if thinking == "strip" else thinking,
        )

    def training_params(self, model: str) -> TrainModel:
        """Params of rule `train_model`."""
        definition = self.config.models[model]
        assert definition.initialization is not None
        tokenizer = self.config.tokenizers[definition.tokenizer]
        return TrainModel(
            model=model,
            architecture=definition.architecture,
            initialization=self.model_location(definition.initialization),
            tokenizer=self.tokenizer_location(definition.tokenizer),
            prompt_format=tokenizer.prompt_format,
            chat=self.chat_template(definition.tokenizer),
            pad_token=tokenizer.pad_token,
            recipe=self.config.recipe(model),
        )

    def training_json(self, model: str) -> str:
        """`training_params` as one command-line argument."""
        return json.dumps(self.training_params(model).as_params(), ensure_ascii=False)

    def training_speed_json(self, model: str) -> str:
        """The recipe's `speed_params` as one command-line argument."""
        return json.dumps(self.config.recipe(model).speed_params())

    def evaluated_model_params(self, model: str) -> EvaluatedModel:
        """Location, architecture and prompt format of a model, for evaluation and answers."""
        definition = self.config.models[model]
        tokenizer = self.config.tokenizers[definition.tokenizer]
        wrapped = self.config.is_wrapped(model)
        return EvaluatedModel(
            model=model,
            architecture=definition.architecture,
            prompt_format=tokenizer.prompt_format if wrapped else None,
            chat=self.chat_template(definition.tokenizer) if wrapped else None,
            **dict(self.model_location(model)),
        )

    def mirror_params(self, path: str) -> MirrorTaskData:
        """Params of rule `mirror_task_data`."""
        return MirrorTaskData(**dict(self.task_data[path]))

    def evaluation_params(self, model: str, batch: str) -> EvaluateModel:
        """Params of rule `evaluate_{batch}`."""
        own = {
            "protocol": self.config.protocol(model),
            "precision": self.config.evaluation_precision(model),
        }
        return EvaluateModel(
            model=self.evaluated_model_params(model),
            tasks={task: self.config.tasks[task] for task in self.batches[batch]},
            evaluation=self.config.evaluation.model_copy(update=own),
            files=user_files_digest([*self.task_files(batch), *self.definition_files(batch)]),
        )

    def answer_params(self, model: str) -> GenerateAnswers:
        """Params of rule `generate_answers`."""
        return GenerateAnswers(
            model=self.evaluated_model_params(model),
            answers=self.config.answers,
            files=user_files_digest([self.config.answers.instructions]),
            seed=self.config.seed,
        )

    def study_answer_params(self, study: str, model: str) -> GenerateAnswers:
        """Params of rule `answer_questions`."""
        questions = self.study(study).questions
        assert questions is not None
        return GenerateAnswers(
            model=self.evaluated_model_params(model),
            answers=self.config.answers.model_copy(update={"instructions": questions}),
            files=user_files_digest([questions]),
            seed=self.config.seed,
        )

    def study_params(self, study: str) -> SelectItems:
        """Params of rule `select_items`."""
        definition = self.study(study)
        set_here = {"study", "mixture", "files", "seed"}
        shared = SelectItems.model_fields.keys() - set_here
        return SelectItems(
            study=study,
            mixture=self.study_mixture(study),
            files=user_files_digest([definition.exclude]) if definition.exclude else None,
            seed=self.config.seed,
            **definition.model_dump(include=set(shared)),
        )

    def sheet_params(self, study: str) -> MakeRatingSheets:
        """Params of rule `make_rating_sheets_{study}`."""
        definition = self.study(study)
        return MakeRatingSheets(
            study=study,
            kind=definition.kind,
            protocol=self.config.rating_protocol,
            version=definition.version,
        )

    def judge_params(self, study: str) -> JudgeItems:
        """Params of rule `judge_items`."""
        judge = self.study(study).judge
        assert judge is not None
        return JudgeItems(
            study=study,
            model=self.teacher_of("human_eval", study).model,
            judge=judge,
            protocol=self.config.rating_protocol,
            seed_requests=self.config.teacher.seed_requests,
            seed=self.config.seed,
        )

    def rating_params(self, study: str) -> CollectRatings:
        """Params of rule `collect_ratings`."""
        definition = self.study(study)
        return CollectRatings(
            study=study,
            kind=definition.kind,
            annotators=annotator_names(definition.annotators),
            replicates=definition.replicates,
            files=user_files_digest(self.rating_files(study)),
            seed=self.config.seed,
            version=definition.version,
        )
