"""Annotation pages: one self-contained HTML file for each annotator, without network or server.

A page holds blinded items only. Its Content Security Policy allows its own style and script and
nothing else, so that not even a text that slipped through could load or run anything.
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
from lamini.human_evaluation.protocol import EXAMPLE_INSTRUCTION, LEVELS, PROTOCOL, QUESTIONS, RULES
from lamini.human_evaluation.rating_files import FORMAT
from lamini.settings.params import MakeRatingSheets


def make_rating_sheets(
    *, rated: str | Path, sheets: Sequence[str | Path], settings: MakeRatingSheets
) -> None:
    """Write the pages of a study.

    Args:
        rated: `items.jsonl`.
        sheets: pages to write; the stem of each is its annotator's name.
        settings: `study` and `kind`.

    Raises:
        LaminiError: when an annotator has nothing to rate.
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
    """The page of one annotator."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    data = {
        "format": FORMAT,
        "study": settings.study,
        "kind": settings.kind,
        "annotator": annotator,
        "levels": LEVELS,
        "questions": QUESTIONS,
        # Work in progress is kept in the browser under this, so that pages never mix.
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
    style, script = _text("sheet.css"), _text("sheet_state.js") + _text("sheet_view.js")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_text("sheet.html.jinja")).render(
        study=settings.study,
        annotator=annotator,
        protocol=PROTOCOL,
        rules=RULES,
        example=EXAMPLE_INSTRUCTION,
        data=_embeddable(data),
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
    )


def _embeddable(data: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _text(name: str) -> str:
    return resources.files("lamini.human_evaluation").joinpath(name).read_text(encoding="utf-8")
