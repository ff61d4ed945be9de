"""Params of the rules that make, describe and export a dataset."""

from typing import Annotated

from pydantic import Field

from lamini.settings.base import Settings
from lamini.settings.dataset import Mixture, PublishedDataset
from lamini.settings.params.common import UserFilesDigest
from lamini.settings.params.generation import SeveralAnswers


class _NamedMixture(Settings):
    mixture: str
    """Key of the mixture in the configuration."""


class MergedMixture(Mixture, _NamedMixture):
    """Settings of a dataset in its manifest: the mixture, and the released dataset that replaces
    it."""

    published: PublishedDataset | None
    writers: Annotated[list[str], Field(exclude_if=lambda models: not models)] = []
    """Models of the generated instructions, for the card; empty if the responses' model wrote
    them, too."""
    several: Annotated[dict[str, SeveralAnswers], Field(exclude_if=lambda known: not known)] = {}
    """Sources with several answers to each query, for the card."""
    turns: Annotated[dict[str, int], Field(exclude_if=lambda known: not known)] = {}
    """Number of user turns of the sources with conversations."""


class MergePairs(MergedMixture):
    """Params of rules `merge_pairs` and `import_published`."""

    files: UserFilesDigest
    licenses: Annotated[dict[str, str], Field(exclude_if=lambda known: not known)] = {}
    """Licence of each source's prompts, for the card."""


class ExportDataset(Settings):
    """Params of rule `export_dataset`."""

    mixture: str


class DescribeDataset(Settings):
    """Params of rule `describe_dataset`."""

    licenses: dict[str, str]
    """Licence of each source's prompts."""
