"""Datasheet of a dataset (Gebru et al. 2021), and its Croissant metadata, from its analyses.

The questions are grouped as in "Datasheets for Datasets". What the pipeline cannot know is left to
the publisher and says so.
"""

from collections.abc import Mapping
from pathlib import Path

from lamini.dataset.card import COLUMNS, made_text
from lamini.dataset.croissant import croissant
from lamini.dataset.manifest import DatasetManifest
from lamini.files import atomic_writer, write_json
from lamini.settings.dataset import PERSONAL_KINDS
from lamini.settings.params.dataset import DescribeDataset
from lamini.tables.published import read_csv

_OPEN = "*To be answered by those who publish it.*"
_TEXT = """# Datasheet of {name}

Headings as in Gebru et al., *Datasheets for Datasets* (2021). Numbers are measured by the pipeline.

## Motivation

To train small language models on the answers of a large one, as in *LaMini-LM: A Diverse Herd of
Distilled Models from Large-Scale Instructions* (arXiv:2304.14402). Who made this copy, and who paid
for it: {open}

## Composition

{rows:,} pairs of an instruction and a response, from {source_count} sources:

| source | pairs | licence of the prompts |
|---|---:|---|
{sources}

- Refusals: {refusals}. Truncated responses: {truncated}.
- Instructions that repeat an earlier one of their source exactly: {duplicates}; near-duplicates of
  any earlier one: {near}.
- Texts without words that can be read: {unreadable} %; damaged texts: {damaged} %.
- Personal data: {personal}. Names and postal addresses were not searched for.
- Offensive content was not measured: no person has read the pairs, and no classifier.
- It is no sample of what people ask: it has what sources and teacher produce. There are no labels,
  no splits, and no relations between pairs.

## Collection process

{made} The instructions are not people's questions to a service; no person was asked to take part.

## Preprocessing, cleaning, labelling

Left out: {dropped} pairs, by the rules on the card. Refusals and truncated responses are flagged in
the column `flags`, by rules.

## Uses

Distillation of small models, and studies of such data. Some instructions come from data sets that
are benchmarks today: {contaminated} of {examples} evaluated examples share {words} words in a row
with a pair, so a score on these tasks may be memory. Not for decisions about people. Terms of the
teacher's vendor may restrict what models trained on its answers are used for.

## Distribution

One Parquet file of {bytes:,} bytes, SHA-256 `{sha256}`; licence `{license}`, and those of the
sources above. Metadata: `{name}.croissant.json`.

## Maintenance

The pipeline, its settings and the digests in the manifest make the same file again. Contact, errata
and updates: {open}
"""


def describe_dataset(
    *,
    manifest: str | Path,
    quality: str | Path,
    near_duplicates: str | Path,
    readability: str | Path,
    personal_data: str | Path,
    contamination: str | Path,
    datasheet: str | Path,
    metadata: str | Path,
    settings: DescribeDataset,
) -> None:
    """Write the datasheet and the Croissant metadata of a dataset.

    Args:
        manifest: the dataset's manifest.
        quality, near_duplicates, readability, personal_data, contamination: CSV of its analyses.
        datasheet: Markdown file to write.
        metadata: JSON-LD to write.
        settings: the rule's params: licence of each source.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    name = dataset_manifest.mixture
    (flags,) = _rows(quality, instruction_source=name)
    (near,) = _rows(near_duplicates, instruction_source=name)
    (read,) = _rows(readability, instruction_source=name)
    personal = _rows(personal_data, instruction_source=name)
    (shared,) = _rows(contamination, instruction_source=name, task="all_tasks")
    words = max(int(key.removeprefix("pairs_")) for key in shared if key.startswith("pairs_"))
    with_personal = sum(int(row["with_personal_data"]) for row in personal)
    dropped = sum(counts.dropped.total() for counts in dataset_manifest.sources.values())
    repeated = sum(int(near[f"near_duplicates{of}"]) for of in ("", "_of_other_sources"))
    text = _TEXT.format(
        name=name,
        open=_OPEN,
        rows=dataset_manifest.rows,
        source_count=len(dataset_manifest.sources),
        sources="\n".join(_source_lines(dataset_manifest, settings.licenses)),
        refusals=_number(flags["refusals"]),
        truncated=_number(flags["truncated"]),
        duplicates=_number(flags["duplicate_instructions"]),
        near=f"{repeated:,}",
        unreadable=f"{float(read['without_words_percent']):.2f}",
        damaged=f"{float(read['damaged_percent']):.2f}",
        personal=_personal(personal, with_personal),
        made=made_text(dataset_manifest),
        dropped=f"{dropped:,}",
        contaminated=_number(shared[f"examples_{words}"]),
        examples=_number(shared["examples"]),
        words=words,
        sha256=dataset_manifest.sha256,
        bytes=dataset_manifest.bytes,
        license=dataset_manifest.settings.license,
    )
    with atomic_writer(datasheet) as handle:
        handle.write(text)
    write_json(metadata, croissant(dataset_manifest, COLUMNS, with_personal))


def _rows(path: str | Path, **wanted: str) -> list[dict[str, str]]:
    """Rows of a CSV with some values."""
    return [row for row in read_csv(path) if all(row[key] == wanted[key] for key in wanted)]


def _source_lines(manifest: DatasetManifest, licenses: Mapping[str, str]) -> list[str]:
    return [
        f"| {source} | {rows:,} | {licenses.get(source, '–')} |"
        for source, rows in manifest.source_rows.items()
    ]


def _number(text: str) -> str:
    return f"{int(text):,}" if text else "not known"


def _personal(rows: list[dict[str, str]], total: int) -> str:
    counts = {kind: sum(int(row[kind]) for row in rows) for kind in PERSONAL_KINDS}
    named = ", ".join(f"{kind} {count:,}" for kind, count in counts.items() if count)
    return f"{total:,} texts have the form of it" + (f" ({named})" if named else "")
