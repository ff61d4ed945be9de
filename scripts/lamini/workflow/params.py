"""What each rule's result depends on: nothing else is in its `params`, and always in one order.

A setting that changes speed or safety alone is no param: it recomputes nothing.
"""

import json
from typing import Any

from lamini.roots import fingerprint
from lamini.settings.human_evaluation import annotator_names
from lamini.workflow.inputs import Inputs, weights_of

Params = dict[str, Any]


class RuleParams(Inputs):
    """One method for each rule."""

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
        template = fingerprint(self.prompt_template(source))
        return {
            "source": source,
            "generation": definition.generation.as_params(),
            "model": self.config.teacher.model,
            "requests": self.config.teacher.instructions.as_params(),
            "seed_requests": self.config.teacher.seed_requests,
            "count": definition.shard_sizes()[int(shard)],
            "seed": self.config.seed,
            "version": definition.version,
            **({"files": template} if template else {}),
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

    def price_params(self) -> Params:
        """Of `summarize_generation`."""
        return {name: price.as_params() for name, price in self.config.teacher.prices.items()}

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
        return {
            **self.config.analysis.model_dump(mode="json", include=own),
            **self.token_count_params(mixture, self.config.analysis.tokenizer),
            "seed": self.config.seed,
        }

    def token_count_params(self, mixture: str, tokenizer: str) -> Params:
        """Of `count_tokens`."""
        sources = self.config.mixtures[mixture].sources
        return {
            "tokenizer_location": self.tokenizer_location(tokenizer),
            "symbols": {name: self.source(name).symbol for name in sources},
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
        build = weights_of(definition.weights).build
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
            "recipe": self.config.recipe(model).result_params(),
        }

    def training_json(self, model: str) -> str:
        """`training_params` as one command-line argument."""
        return json.dumps(self.training_params(model), ensure_ascii=False)

    def training_speed_json(self, model: str) -> str:
        """What `train_model` gets besides: settings of speed and safety alone."""
        return json.dumps(self.config.recipe(model).speed_params())

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
        evaluation |= {
            "protocol": self.config.protocol(model),
            "precision": self.config.evaluation_precision(model),
        }
        return {
            "model": self.asked_model_params(model),
            "tasks": {task: self.config.tasks[task].as_params() for task in self.batches[batch]},
            "evaluation": evaluation,
            "files": fingerprint([*self.task_files(batch), *self.definition_files(batch)]),
        }

    def answer_params(self, model: str) -> Params:
        """Of `generate_answers`."""
        return {
            "model": self.asked_model_params(model),
            "answers": self.config.answers.model_dump(mode="json", exclude={"tokens_per_batch"}),
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
            "mixture": self.study_mixture(study),
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
