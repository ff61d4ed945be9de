"""Params of the rules that generate pairs."""

from typing import Any

from lamini.settings.params.generation import (
    DownloadFile,
    GenerateInstructions,
    GeneratePairs,
    PreparePrompts,
    SelectQueries,
    SelectTopics,
    SeveralAnswers,
    Turns,
)
from lamini.user_files import user_files_digest
from lamini.workflow.inputs import Inputs
from lamini.workflow.template_text import template_text


class GenerationParams(Inputs):
    """One method per rule."""

    def download_params(self, download: str) -> DownloadFile:
        """Params of rule `download_file`."""
        return DownloadFile(**dict(self.config.downloads[download]))

    def topic_params(self) -> SelectTopics:
        """Params of rule `select_topics`."""
        topics = self.config.topics
        files = user_files_digest([topics.dump, *self.hidden_categories])
        return SelectTopics(topics=topics, files=files)

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
            several=self.several_answers(source),
            turns=self._turns(source),
            seed=self.config.seed,
        )

    def _turns(self, source: str) -> Turns | None:
        """Turns of a source's conversations; None with one turn.

        Raises:
            SettingsError: if the template is missing.
        """
        count, asked = self.source(source).turns, self.config.teacher.next_turns
        if count == 1:
            return None
        text = template_text(asked.template, "teacher.next_turns.template")
        return Turns(count=count, template=text, sampling=asked.sampling)

    def several_answers(self, source: str) -> SeveralAnswers | None:
        """Number of answers to each query of a source, and their choice; None with one answer."""
        definition = self.source(source)
        if definition.answers_per_query == 1:
            return None
        best = definition.best_answer
        judged = best.by == "judge"
        return SeveralAnswers(
            per_query=definition.answers_per_query,
            by=best.by,
            judge=best.judge if judged else None,
            protocol=self.config.rating_protocol if judged else None,
        )

    def price_params(self) -> dict[str, Any]:
        """Params of rule `summarize_generation`."""
        return {name: price.as_params() for name, price in self.config.teacher.prices.items()}
