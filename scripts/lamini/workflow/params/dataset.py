"""Params of the rules that make, describe and export a dataset."""

from lamini.settings.params.dataset import DescribeDataset, ExportDataset, MergePairs
from lamini.user_files import user_files_digest
from lamini.workflow.params.generation import GenerationParams


class DatasetParams(GenerationParams):
    """One method per rule."""

    def mixture_params(self, mixture: str) -> MergePairs:
        """Params of rules `merge_pairs` and `import_published`."""
        definition = self.config.mixtures[mixture]
        generated = self.config.dataset == "generated"
        several = {name: self.several_answers(name) for name in definition.sources if generated}
        return MergePairs(
            mixture=mixture,
            **dict(definition),
            published=self.config.published if self.config.dataset == "published" else None,
            files=user_files_digest(self.published_files),
            writers=self.writers(definition.sources) if generated else [],
            licenses=self._licenses(mixture),
            several={name: answers for name, answers in several.items() if answers},
            turns=self.config.turns(mixture),
        )

    def _licenses(self, mixture: str) -> dict[str, str]:
        """Licence of each source of a mixture, where it is known."""
        sources = self.config.mixtures[mixture].sources
        known = {name: self.source(name).license for name in sources}
        return {name: text for name, text in known.items() if text}

    def description_params(self, mixture: str) -> DescribeDataset:
        """Params of rule `describe_dataset`."""
        return DescribeDataset(licenses=self._licenses(mixture))

    def export_params(self, mixture: str) -> ExportDataset:
        """Params of rule `export_dataset`."""
        return ExportDataset(mixture=mixture)
