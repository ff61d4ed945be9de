"""Hugging Face dataset card, written from the dataset's manifest."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lamini.files import atomic_writer
from lamini.settings.dataset import Published

_COLUMNS = {
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
}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_TEXT = """---
{header}---

# {name}

{rows:,} pairs of instructions and responses. The instructions come from {source_count} sources; the
responses are a teacher model's, for the distillation of small language models as in *LaMini-LM: A
Diverse Herd of Distilled Models from Large-Scale Instructions* (arXiv:2304.14402, section 3).

## Sources

{sources}

Rows are sorted by source, in this order. Left out: pairs whose instruction or response has no
visible character{exclusions}.

## Columns

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


def write_card(path: str | Path, manifest: Mapping[str, Any]) -> None:
    """Write the card of a merged dataset.

    Args:
        path: Markdown file to write; the hub shows it if it is `README.md` beside the Parquet file.
        manifest: the dataset's manifest.
    """
    with atomic_writer(path) as handle:
        handle.write(card_text(manifest))


def card_text(manifest: Mapping[str, Any]) -> str:
    """Text of the card: a YAML header, then counts, columns, and the origin of the data."""
    settings, name = manifest["settings"], manifest["mixture"]
    header = {
        "pretty_name": name,
        "license": settings["license"],
        "language": ["en"],
        "task_categories": ["text-generation"],
        "size_categories": [_size(manifest["rows"])],
        "tags": ["instruction-tuning", "distillation", "synthetic"],
        "configs": [{"config_name": "default", "data_files": f"{name}.parquet"}],
    }
    rules = [f"responses flagged `{flag}`" for flag in settings["exclude_flags"]]
    if settings["unique_instructions"]:
        rules.append("instructions that an earlier row has")
    if removed := settings["decontamination"]:
        rules.append(
            f"pairs that share {removed['words']} words in a row with an evaluated example of the"
            " downstream tasks"
        )
    return _TEXT.format(
        header=yaml.safe_dump(header, sort_keys=False, allow_unicode=True),
        name=name,
        rows=manifest["rows"],
        source_count=len(manifest["sources"]),
        sources=_sources(manifest["sources"]),
        exclusions="".join(f"; {rule}" for rule in rules),
        columns=_columns(manifest["schema"]),
        made=_made(manifest),
    )


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _sources(sources: Mapping[str, Any]) -> str:
    lines = ["| `instruction_source` | pairs | left out | refusals | truncated |"]
    lines.append("|---|---:|---:|---:|---:|")
    for source, counts in sources.items():
        numbers = [
            counts["rows"],
            counts["read"] - counts["rows"],
            counts["flags"].get("refusal", 0),
            counts["flags"].get("truncated", 0),
        ]
        lines.append(f"| {source} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    return "\n".join(lines)


def _columns(schema: Mapping[str, str]) -> str:
    lines = ["| column | type | |", "|---|---|---|"]
    return "\n".join(lines + [f"| `{c}` | {kind} | {_COLUMNS[c]} |" for c, kind in schema.items()])


def count_models(manifest: Mapping[str, Any]) -> Counter[str]:
    """Number of responses by each model; empty for the released dataset."""
    models: Counter[str] = Counter()
    for counts in manifest["sources"].values():
        models.update(counts["models"])
    return models


def _made(manifest: Mapping[str, Any]) -> str:
    if given := manifest["settings"]["published"]:
        published = Published.model_validate(given)
        place = published.hub.repo if published.hub else Path(_local(published)).name
        return f"Read from the released dataset ({place})."
    models = count_models(manifest)
    answers = ", ".join(f"{model} ({count:,} responses)" for model, count in sorted(models.items()))
    writers = ", ".join(manifest["settings"].get("writers", ())) or "the teacher"
    return (
        "Generated by the LaMini-LM pipeline: seed prompts and topics, new instructions written by"
        f" {writers}, exact duplicates of a source removed, responses by {answers}."
    )


def _local(published: Published) -> str:
    assert published.local is not None
    return published.local.path
