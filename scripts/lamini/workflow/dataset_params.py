"""Params of the rules that describe a finished dataset, and of the choice among answers."""

from lamini.settings.params.analysis import FindParaphrases, ScanPersonalData
from lamini.settings.params.dataset import DescribeDataset, MergePairs
from lamini.settings.params.generation import GeneratePairs, SeveralAnswers, Turns
from lamini.workflow.params import RuleParams
from lamini.workflow.template_text import template_text


class DatasetParams(RuleParams):
    """Params of rules that need settings of several sections, one method per rule."""

    def mixture_params(self, mixture: str) -> MergePairs:
        """Params of rules `merge_pairs` and `import_published`, with licences and turns."""
        made = super().mixture_params(mixture)
        sources = made.sources if self.config.dataset == "generated" else []
        known = {source: self._several(source) for source in sources}
        several = {source: choice for source, choice in known.items() if choice}
        turns = self.config.turns(mixture)
        update = {"licenses": self._licenses(mixture), "several": several, "turns": turns}
        return made.model_copy(update=update)

    def pair_params(self, source: str) -> GeneratePairs:
        """Params of rule `generate_pairs`, with the choice among several answers and the turns."""
        update = {"several": self._several(source), "turns": self._turns(source)}
        return super().pair_params(source).model_copy(update=update)

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

    def _several(self, source: str) -> SeveralAnswers | None:
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

    def description_params(self, mixture: str) -> DescribeDataset:
        """Params of rule `describe_dataset`."""
        return DescribeDataset(licenses=self._licenses(mixture))

    def _licenses(self, mixture: str) -> dict[str, str]:
        """Licence of each source of a mixture, where it is known."""
        sources = self.config.mixtures[mixture].sources
        known = {name: self.source(name).license for name in sources}
        return {name: text for name, text in known.items() if text}

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
