"""Params of the rules that describe a finished dataset, and of its card."""

from lamini.settings import params
from lamini.workflow.params import RuleParams


class DatasetParams(RuleParams):
    """Params of the rules that describe a finished dataset, one method per rule."""

    def mixture_params(self, mixture: str) -> params.MergePairs:
        """Params of rules `merge_pairs` and `import_published`, with the licences for the card."""
        made = super().mixture_params(mixture)
        return made.model_copy(update={"licenses": self._licenses(mixture)})

    def description_params(self, mixture: str) -> params.DescribeDataset:
        """Params of rule `describe_dataset`."""
        return params.DescribeDataset(licenses=self._licenses(mixture))

    def _licenses(self, mixture: str) -> dict[str, str]:
        """Licence of each source of a mixture, where it is known."""
        sources = self.config.mixtures[mixture].sources
        known = {name: self.source(name).license for name in sources}
        return {name: text for name, text in known.items() if text}

    def personal_data_params(self) -> params.ScanPersonalData:
        """Params of rule `scan_personal_data`."""
        return params.ScanPersonalData(**dict(self.config.analysis.personal_data))
