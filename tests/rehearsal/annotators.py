"""Stand-ins for the annotators: they rate every item that is assigned to them."""

import hashlib
from pathlib import Path

from lamini.files import write_json
from lamini.human_evaluation.items import read_items
from lamini.human_evaluation.rating_files import FORMAT
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.paths import ITEMS


def rate_all(project: Path, study: str, folder: Path) -> int:
    """Write the rating files of a study's annotators to `folder`; returns the number of ratings."""
    items = read_items(project / ITEMS.format(study=study))
    count = 0
    for annotator in sorted({name for item in items for name in item.annotators}):
        ratings = [
            {"item": item.item, "digest": item.digest, "rating": _rating(annotator, item.item)}
            for item in items
            if annotator in item.annotators
        ]
        count += len(ratings)
        content = {"format": FORMAT, "study": study, "annotator": annotator, "ratings": ratings}
        write_json(folder / f"{annotator}.json", content)
    return count


def _rating(annotator: str, item: str) -> str:
    """Most people agree on most items."""
    number = int(item, 16)
    own = int(hashlib.sha256(f"{annotator}{item}".encode()).hexdigest()[:8], 16)
    return LEVELS[(number + (own % 5 == 0)) % len(LEVELS)]
