"""Items of a study: the blinded texts to rate, one per row of `items.jsonl`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lamini.files import read_jsonl, stable_hash

RatedPart = Literal["instruction", "response"]


@dataclass(frozen=True, slots=True)
class Item:
    """Text to rate, without its model or source, which only `key.json` holds."""

    item: str
    """Id of 12 hex digits; constant for the same study, seed, instruction, subject and part."""
    group: str
    """Id of the instruction; the same people rate all items of a group."""
    part: RatedPart
    instruction: str
    text: str
    digest: str
    """Hash of part, instruction and text; a rating is valid only for this version of the item."""
    annotators: tuple[str, ...]
    """Names of its annotators; two if it is rated twice."""

    def as_row(self) -> dict[str, Any]:
        """Row of `items.jsonl`."""
        return asdict(self)


def make_item(
    *,
    study: str,
    seed: int,
    group: str,
    subject: str,
    part: RatedPart,
    instruction: str,
    text: str,
) -> Item:
    """Make an item without annotators.

    Args:
        study: name of the study; with `seed`, it makes the ids of studies different.
        seed: seed of the study.
        group: id of the instruction.
        subject: key of the rated model or source; only its hash is part of the item's id.
        part: rated part of the pair.
        instruction: the instruction, shown to the rater.
        text: the text to rate.
    """
    return Item(
        item=stable_hash("item", study, seed, group, subject, part, size=6),
        group=group,
        part=part,
        instruction=instruction,
        text=text,
        digest=stable_hash(part, instruction, text, size=8),
        annotators=(),
    )


def read_items(path: str | Path) -> list[Item]:
    """Read `items.jsonl`, in file order."""
    return [
        Item(**(row | {"annotators": tuple(row["annotators"])}))  # type: ignore[arg-type]
        for row in read_jsonl(path)
    ]
