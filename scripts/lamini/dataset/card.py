"""Hugging Face dataset card, written from the dataset's manifest."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from lamini.dataset.manifest import DatasetManifest, SourceCounts
from lamini.files import atomic_writer
from lamini.settings.dataset import PublishedDataset

COLUMNS = {
    "instruction": "what is asked, its input included",
    "response": "the teacher's answer",
    "instruction_source": "the subset that the instruction belongs to",
    "id": "where the instruction comes from; unique within its source",
    "finish_reason": "why the teacher's answer ended (`stop`, `length`, ...)",
    "flags": "what is to be known of the response: `refusal`, `truncated`",
    "prompt_tokens": "tokens that the teacher read",
    "completion_tokens": "tokens that the teacher wrote",
    "model": "name of the teacher, as it answered",
    "request": "key of the request in the ledger of answers",
    "messages": "all turns of a conversation (`role`, `content`), of which `instruction` and"
    " `response` are the first two; null for a pair",
}
_EMPTY = "pairs whose instruction or response has no\nvisible character"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_TEXT = """---
{header}---

# {name}

{rows:,} pairs of instructions and responses. The instructions come from {source_count} sources; the
responses are a teacher model's, for the distillation of small language models as in *LaMini-LM: A
Diverse Herd of Distilled Models from Large-Scale Instructions* (arXiv:2304.14402, section 3).

## Sources

{sources}

Rows are sorted by source, in this order. Left out: {left_out}.

{licenses}## Columns

{columns}

The first three are the columns of the released dataset; the others are null where that was read.

## How it was made

{made}

## Intended use

Research on distillation: training small models to follow English instructions, and studying such
data. Terms of the teacher's vendor may restrict what models trained on its answers are used for.

## Limits

No person has checked the responses: some are wrong, refuse, or end too early (counted above where
it can be told), and they repeat the teacher's biases. Some instructions come from data sets that
are benchmarks today; a model that is trained on them may know what it is asked there.

## Loading

```python
from datasets import load_dataset

pairs = load_dataset("parquet", data_files="{name}.parquet", split="train")
```
"""


def write_card(
    path: str | Path, manifest: DatasetManifest, licenses: Mapping[str, str] | None = None
) -> None:
    """Write the card of a merged dataset.

    Args:
        path: Markdown file to write; the hub shows it if it is `README.md` beside the Parquet file.
        manifest: the dataset's manifest.
        licenses: licence of each source's prompts, where it is known.
    """
    with atomic_writer(path) as handle:
        handle.write(card_text(manifest, licenses or {}))


def card_text(manifest: DatasetManifest, licenses: Mapping[str, str]) -> str:
    """Text of the card: a YAML header, then counts, columns, and the origin of the data."""
    settings, name = manifest.settings, manifest.mixture
    header = {
        "pretty_name": name,
        "license": settings.license,
        "language": ["en"],
        "task_categories": ["text-generation"],
        "size_categories": [_size(manifest.rows)],
        "tags": ["instruction-tuning", "distillation", "synthetic"],
        "configs": [{"config_name": "default", "data_files": f"{name}.parquet"}],
    }
    rules = [] if settings.published else [_EMPTY]
    rules += [f"responses flagged `{flag}`" for flag in settings.exclude_flags]
    if settings.unique_instructions:
        rules.append("instructions that an earlier row has")
    if removed := settings.decontamination:
        rules.append(
            f"pairs that share {removed.words} words in a row with an evaluated example of the"
            " downstream tasks"
        )
    if settings.thinking is not None:
        rules.append("pairs with the teacher's thoughts but no answer")
    if others := manifest.other_sources:
        named = ", ".join(f"`{source}` ({rows:,})" for source, rows in others.items())
        rules.append(f"rows of sources that are not in this selection: {named}")
    if kinds := settings.mask_personal_data:
        rules.append(f"personal data, masked as `[EMAIL]` and the like: {', '.join(kinds)}")
    return _TEXT.format(
        header=yaml.safe_dump(header, sort_keys=False, allow_unicode=True),
        name=name,
        rows=manifest.rows,
        source_count=len(manifest.sources),
        sources=_sources(manifest.sources),
        licenses=_licenses(manifest.sources, licenses),
        left_out="; ".join(rules) or "nothing",
        columns=_columns(manifest.columns),
        made=made_text(manifest),
    )


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _sources(sources: Mapping[str, SourceCounts]) -> str:
    lines = ["| `instruction_source` | pairs | left out | refusals | truncated |"]
    lines.append("|---|---:|---:|---:|---:|")
    for source, counts in sources.items():
        numbers = [
            counts.rows,
            counts.read - counts.rows,
            counts.flags["refusal"],
            counts.truncated,
        ]
        cells = ("–" if number is None else f"{number:,}" for number in numbers)
        lines.append(f"| {source} | " + " | ".join(cells) + " |")
    if any(counts.truncated is None for counts in sources.values()):
        lines += ["", "–: not known, because the data does not tell why a response ended."]
    return "\n".join(lines)


def _licenses(sources: Mapping[str, SourceCounts], licenses: Mapping[str, str]) -> str:
    """Section with the licence of each source; empty if none is known."""
    if not any(source in licenses for source in sources):
        return ""
    lines = ["## Licences", "", "| `instruction_source` | licence of the prompts |", "|---|---|"]
    lines += [f"| {source} | {licenses.get(source, '–')} |" for source in sources]
    note = "The responses, and generated instructions, are also subject to the teacher's terms."
    return "\n".join([*lines, "", note, "", ""])


def _columns(schema: Mapping[str, str]) -> str:
    lines = ["| column | type | |", "|---|---|---|"]
    return "\n".join(lines + [f"| `{c}` | {kind} | {COLUMNS[c]} |" for c, kind in schema.items()])


def made_text(manifest: DatasetManifest) -> str:
    """Sentence about the origin of the instructions and the responses."""
    if published := manifest.settings.published:
        origin = published.hub.repo if published.hub else Path(_local(published)).name
        if published.all_columns:
            return f"Read from a dataset of the LaMini-LM pipeline ({origin}).{_thoughts(manifest)}"
        return f"Read from the released dataset ({origin}).{_thoughts(manifest)}"
    models = sorted(manifest.models.items())
    answers = ", ".join(f"{model} ({count:,} responses)" for model, count in models)
    writers = ", ".join(manifest.settings.writers) or "the teacher"
    return (
        "Generated by the LaMini-LM pipeline: seed prompts and topics, new instructions written by"
        f" {writers}, exact duplicates of a source removed, responses by {answers}."
        f"{_best_of(manifest)}{_turns(manifest)}{_thoughts(manifest)}"
    )


def _turns(manifest: DatasetManifest) -> str:
    """Sentence about sources with conversations; empty without one."""
    named = [f"{source} (up to {turns})" for source, turns in manifest.settings.turns.items()]
    text = " Conversations of several user turns, which seeds or the teacher wrote:"
    return f"{text} {', '.join(named)}." if named else ""


def _thoughts(manifest: DatasetManifest) -> str:
    """Sentence about the teacher's thoughts; empty if the mixture's setting is."""
    texts = {
        None: "",
        "strip": " The teacher's thoughts are removed from the responses.",
        "keep": " Responses begin with the teacher's thoughts (`<think>`, `</think>`), if it had"
        " any.",
    }
    texts["mask"] = f"{texts['keep']} Students were trained on the answers alone."
    return texts[manifest.settings.thinking]


def _best_of(manifest: DatasetManifest) -> str:
    """Sentence about sources with several answers to each query; empty without one."""
    several = manifest.settings.several.items()
    ways = {"agreement": "agreement", "judge": "the same model as judge"}
    named = [f"{source} (of {how.per_query}, by {ways[how.by]})" for source, how in several]
    return f" The best of several responses was kept: {', '.join(named)}." if named else ""


def _local(published: PublishedDataset) -> str:
    assert published.local is not None
    return published.local.path
