"""Jinja environment of the report's pages: filters, and files of the package as texts."""

import json
import re
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lamini import symbols
from lamini.report import overview, stages
from lamini.tables.table import MISSING

LIBRARY = "vendor/echarts.common.min.js"
"""Apache ECharts 6.1.0, build with lines, dots and bars, unchanged from npm package `echarts`."""


def render(template: str, **values: Any) -> str:
    """Text of a page from a template of this package."""
    return _environment().get_template(template).render(**values)


def script_json(value: Any) -> Markup:
    """JSON for a script element; escapes `<`, so that no text can close the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c")
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def shown(value: float | None, digits: int = 0, signed: bool = False) -> str:
    """A number with separators; a dash if it was not measured."""
    if value is None:
        return MISSING
    sign = "+" if signed else ""
    return f"{round(value, digits) + 0.0:{sign},.{digits}f}"


def _code(text: str) -> Markup:
    """HTML of a note; text between backticks becomes a code element."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _breakable(heading: str) -> Markup:
    """Heading with optional line breaks before capitals inside a word: Open|Book|QA."""
    return Markup("<wbr>").join(map(_symbols, re.split(r"(?<=[a-z])(?=[A-Z])", heading)))


def _symbols(text: str) -> Markup:
    """HTML of a text with the paper's symbols, such as X_SI; its copy is the text itself."""
    return Markup().join(
        Markup("{}<sub><span>_</span>{}</sub>").format(part, index) if index else escape(part)
        for part, index in symbols.pieces(text)
    )


def _text(name: str) -> Markup:
    return Markup(resources.files("lamini.report").joinpath(name).read_text(encoding="utf-8"))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_text),
    )
    environment.globals |= {"include_text": _text, "library": LIBRARY}
    environment.filters |= {
        "settings": stages.shown_settings,
        "breakable": _breakable,
        "code": _code,
        "shown": shown,
        "symbols": _symbols,
        "verdict": overview.verdict,
    }
    return environment
