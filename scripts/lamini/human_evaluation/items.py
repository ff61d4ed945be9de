"""The items of a study: what is rated, blinded, as it lies in `items.jsonl`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lamini.files import read_jsonl, stable_hash

Part = Literal["instruction", "response"]


@dataclass(frozen=True, slots=True)
class Item:
    """One text to rate. Nothing in it says which model or source it is from; `key.json` does."""

    item: str
    """12 hex digits, the same as long as study, seed, instruction and origin are the same."""
    group: str
    """The instruction that it belongs to; all items of a group are rated by the same people."""
    part: Part
    instruction: str
    text: str
    digest: str
    """Of part, instruction and text: a rating holds for this version of the item alone."""
    annotators: tuple[str, ...]
    """Who rates it; two where it is rated twice."""

    def as_row(self) -> dict[str, Any]:
        """As written to `items.jsonl`."""
        return asdict(self)


def make_item(
    *, place: tuple[str, int], group: str, subject: str, part: Part, instruction: str, text: str
) -> Item:
    """An item without annotators.

    Args:
        place: study and seed.
        group: which instruction.
        subject: key of the model or source that is rated; goes into the name as a digest only.
        part: what of the pair is rated.
        instruction: the instruction, for the rater to read.
        text: what is rated.
    """
    return Item(
        item=stable_hash("item", *place, group, subject, part, size=6),
        group=group,
        part=part,
        instruction=instruction,
        text=text,
        digest=stable_hash(part, instruction, text, size=8),
        annotators=(),
    )


def read_items(path: str | Path) -> list[Item]:
    """Read `items.jsonl`, in its order."""
    return [
        Item(**(row | {"annotators": tuple(row["annotators"])}))  # type: ignore[arg-type]
        for row in read_jsonl(path)
    ]
