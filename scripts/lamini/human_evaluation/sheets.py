"""Annotation pages: one self-contained HTML file per annotator, without network or server.

A page holds only blinded items. Its Content Security Policy allows only the page's own style and
script, so that code inside a rated text can't run or load anything.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from lamini.errors import LaminiError
from lamini.files import atomic_writer, stable_hash
from lamini.human_evaluation.items import Item, read_items
from lamini.human_evaluation.rating_files import FORMAT
from lamini.human_evaluation.rating_protocols import (
    LEVELS,
    QUESTIONS,
    RATING_PROTOCOLS,
    SKIP_REASONS,
)
from lamini.settings.params.human_evaluation import MakeRatingSheets

SCRIPTS = ("sheet_state.js", "sheet_files.js", "sheet_view.js", "sheet_keys.js")
"""The page's script, in the order of its parts."""


def make_rating_sheets(
    *, rated: str | Path, sheets: Sequence[str | Path], settings: MakeRatingSheets
) -> None:
    """Write the annotation pages of a study.

    Args:
        rated: `items.jsonl`.
        sheets: pages to write; the stem of each path is the annotator's name.
        settings: `study`, `kind` and `protocol`.

    Raises:
        LaminiError: if an annotator has no items.
    """
    items = read_items(rated)
    for path in map(Path, sheets):
        own = [item for item in items if path.stem in item.annotators]
        if not own:
            raise LaminiError(
                f"{path.stem} has nothing to rate: lower"
                f" human_evaluation.studies.{settings.study}.annotators"
            )
        with atomic_writer(path) as handle:
            handle.write(sheet(own, path.stem, settings))


def sheet(items: Sequence[Item], annotator: str, settings: MakeRatingSheets) -> str:
    """HTML page of one annotator."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    rating_protocol = RATING_PROTOCOLS[settings.protocol]
    data = {
        "format": FORMAT,
        "study": settings.study,
        "kind": settings.kind,
        "annotator": annotator,
        "protocol": rating_protocol.version,
        "levels": LEVELS,
        "scale": [
            {"name": level.name, "gist": level.gist, "criterion": level.criterion}
            for level in rating_protocol.levels
        ],
        "questions": QUESTIONS,
        "reasons": SKIP_REASONS,
        # Key of the saved ratings in the browser's storage; differs between pages.
        "digest": stable_hash(settings.study, annotator, [item.digest for item in items]),
        "groups": [
            {
                "instruction": members[0].instruction,
                "items": [
                    {"item": i.item, "part": i.part, "digest": i.digest, "text": i.text}
                    for i in members
                ],
            }
            for members in groups.values()
        ],
    }
    style, script = _text("sheet.css"), "".join(map(_text, SCRIPTS))
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_text("sheet.html.jinja")).render(
        study=settings.study,
        annotator=annotator,
        rating_protocol=rating_protocol,
        data=_embeddable(data),
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
    )


def _embeddable(data: Any) -> str:
    """JSON without `<`, which could end the script element around it."""
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _text(name: str) -> str:
    return resources.files("lamini.human_evaluation").joinpath(name).read_text(encoding="utf-8")
