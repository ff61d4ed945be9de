"""Manifest of a merged dataset: its counts, settings and SHA-256, for later rules and the card."""

from collections import Counter

from pydantic import BaseModel, Field

from lamini.json_file import JsonFile
from lamini.settings.params.dataset import MergedMixture


class SourceCounts(BaseModel, extra="forbid"):
    """Counts of the pairs of one source."""

    read: int
    """Number of pairs before any was excluded."""
    rows: int
    """Number of pairs in the dataset."""
    dropped: Counter[str]
    """Number of excluded pairs by their first reason."""
    flags: Counter[str]
    finish_reasons: Counter[str] | None
    """Number of responses by finish reason; null if no row has one, as in the released dataset."""
    models: Counter[str] | None
    """Number of responses by each model; null if no row names one, as in the released dataset."""

    masked: Counter[str] | None = Field(None, exclude_if=lambda counts: counts is None)
    """Number of instructions and of responses with masked personal data; null if none is masked."""

    @property
    def truncated(self) -> int | None:
        """Number of truncated responses; None if no row has a finish reason."""
        return None if self.finish_reasons is None else self.flags["truncated"]


class DatasetManifest(JsonFile, extra="forbid", serialize_by_alias=True):
    """Content of `results/dataset/{mixture}.manifest.json`."""

    mixture: str
    sha256: str
    """SHA-256 of the Parquet file."""
    bytes: int
    """Size of the Parquet file."""
    rows: int
    """Number of pairs."""
    columns: dict[str, str] = Field(alias="schema")
    """Arrow type of each column."""
    settings: MergedMixture
    sources: dict[str, SourceCounts]
    other_sources: dict[str, int] | None = Field(None, exclude_if=lambda counts: counts is None)
    """Number of rows of each source of the released dataset that is not in the mixture; null for a
    generated dataset."""

    @property
    def source_rows(self) -> dict[str, int]:
        """Number of pairs of each source, in the mixture's order."""
        return {source: self.sources[source].rows for source in self.settings.sources}

    @property
    def models(self) -> Counter[str]:
        """Number of responses by each model; empty for the released dataset."""
        return sum((counts.models or Counter() for counts in self.sources.values()), Counter())
