"""Params of the rules that analyse a dataset."""

from lamini.settings.params.analysis import (
    CountFunnel,
    CountTokens,
    CountVerbs,
    EmbedInstructions,
    FindContamination,
    FindNearDuplicates,
    FindParaphrases,
    MeasureDataset,
    MeasureDetectors,
    MeasureMattrReadings,
    MeasureTopicCoverage,
    ProjectEmbeddings,
    ScanPersonalData,
)
from lamini.user_files import user_files_digest
from lamini.workflow.inputs import Inputs


class AnalysisParams(Inputs):
    """One method per rule."""

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

    def paraphrase_params(self) -> FindParaphrases:
        """Params of rule `find_paraphrases`."""
        analysis = self.config.analysis
        compared = self.contamination_params()
        return FindParaphrases(
            **dict(analysis.paraphrases),
            model=analysis.embeddings.model,
            revision=analysis.embeddings.revision,
            tasks=compared.tasks,
            mirror=compared.mirror,
            files=compared.files,
            seed=self.config.seed,
        )

    def personal_data_params(self) -> ScanPersonalData:
        """Params of rule `scan_personal_data`."""
        return ScanPersonalData(**dict(self.config.analysis.personal_data))
