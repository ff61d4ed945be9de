"""Counts of personal data in a merged dataset, per source and kind."""

from collections import Counter
from pathlib import Path

import pyarrow as pa

from lamini.analysis.columns import CsvRow, read_batches, write_csv
from lamini.dataset.manifest import DatasetManifest
from lamini.dataset.personal_data import candidates, find_personal_data
from lamini.log import Progress
from lamini.settings.dataset import PERSONAL_KINDS
from lamini.settings.params.analysis import ScanPersonalData

COLUMNS = (
    "instruction_source",
    "text",
    "texts",
    "with_personal_data",
    "with_personal_data_percent",
    *PERSONAL_KINDS,
)
"""`text`: instruction or response. The columns of the kinds count spans, several in a text too."""
TEXTS = ("instruction", "response")


def scan_personal_data(
    *,
    manifest: str | Path,
    dataset: str | Path,
    personal_data: str | Path,
    settings: ScanPersonalData,
) -> None:
    """Count personal data by their form, in instructions and responses.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        personal_data: CSV to write, in `COLUMNS`; the last two rows count all sources.
        settings: the rule's params: `version`.

    Raises:
        LaminiError: when the dataset cannot be read, or does not match the manifest.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    counts: dict[tuple[str, str], Counter[str]] = {}
    with Progress(dataset_manifest.rows, "pairs") as progress:
        for source, batch in read_batches(dataset, TEXTS, manifest, whole=True):
            for text in TEXTS:
                counted = count_texts(batch[text])
                for name in (source, dataset_manifest.mixture):
                    counts.setdefault((name, text), Counter()).update(counted)
            progress.advance(len(batch))
    names = [*dataset_manifest.settings.sources, dataset_manifest.mixture]
    rows = [
        _row(name, text, counts.get((name, text), Counter())) for name in names for text in TEXTS
    ]
    write_csv(personal_data, COLUMNS, rows)


def count_texts(texts: pa.StringArray) -> Counter[str]:
    """Number of texts, of those with personal data, and of spans by kind."""
    counts = Counter(texts=len(texts))
    for _, text in candidates(texts):
        spans = find_personal_data(text)
        counts["with_personal_data"] += bool(spans)
        counts.update(span.kind for span in spans)
    return counts


def _row(name: str, text: str, counts: Counter[str]) -> CsvRow:
    total, some = counts["texts"], counts["with_personal_data"]
    share = 100 * some / total if total else None
    return [name, text, total, some, share, *(counts[kind] for kind in PERSONAL_KINDS)]
