"""Declaration of one table or figure: name, title, builder, inputs and params.

Snakemake reads the catalogue at the start of every job, so an entry names its builder and does not
import it. The builder's existence is checked in the source text of its module.
"""

import importlib.util
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from lamini import paths
from lamini.catalogue.params.common import BuilderParams, NoParams
from lamini.catalogue.run import RuleFiles, Run
from lamini.errors import LaminiError


@dataclass(frozen=True)
class Entry:
    """One table or figure.

    Raises:
        LaminiError: when name or title is empty, or a function does not exist; names the entry.
    """

    name: str
    """Name as in the file name: "04", "funnel"."""
    title: str
    """Caption without the number; `{value}` is a placeholder for a value of the data."""
    builder: str
    """`module:function` that builds it from inputs and params."""
    inputs: Callable[[Run], RuleFiles]
    """Named input files of the builder."""
    params: Callable[[Run], BuilderParams] = lambda run: NoParams()
    """Params of the builder: everything that it depends on, except the inputs."""
    when: Callable[[Run], Any] = lambda run: True
    """Whether a run includes it."""
    chart: str = ""
    """`module:function` that builds its interactive version from the report's inputs and params
    (`lamini.report.charts`)."""
    last: bool = False
    """Whether it needs the data of all other tables and figures, as its input `made`."""

    kind: ClassVar[str]
    """ "table" or "figure"."""
    stem: ClassVar[str]
    """Path of its files without the extension, a pattern of `lamini.paths`."""
    forms: ClassVar[tuple[str, ...]]
    """Extensions of its files."""
    affix: ClassVar[str]
    """Common prefix or suffix of the names of this kind's builders."""

    def __post_init__(self) -> None:
        if not (self.name and self.title):
            raise LaminiError(f"{self.kind} {self.name!r}: no name or title in lamini.catalogue")
        for reference in (self.builder, *([self.chart] if self.chart else [])):
            module, _, function = reference.partition(":")
            if function not in _functions(module):
                raise LaminiError(f"{self.kind} {self.name!r}: there is no function {reference}")

    @property
    def builder_name(self) -> str:
        """The builder's name without the affix; a param, so that another builder reruns the job."""
        return self.builder.partition(":")[2].replace(self.affix, "")

    @property
    def number(self) -> str:
        """Display name: "Table 4", "Figure 5", or the words of its name."""
        if self.name.isdigit():
            return f"{self.kind.capitalize()} {int(self.name)}"
        return self.name.replace("_", " ").capitalize()

    def heading(self, title: str) -> str:
        """Title with its values, after the number if the paper has one."""
        return f"{self.number}. {title}" if self.name.isdigit() else title

    @property
    def label(self) -> str:
        """Title for lists, with dots in place of the placeholders."""
        return re.sub(r"\{\w+\}", "…", self.title)

    def files(self, *forms: str) -> list[str]:
        """Its files in the requested formats; in all formats by default."""
        stem = self.stem.format(**{self.kind: self.name})
        return [f"{stem}.{form}" for form in forms or self.forms]


@dataclass(frozen=True)
class TableEntry(Entry):
    """One table; its builder takes inputs and params and returns `lamini.tables.table.Table`."""

    kind = "table"
    stem = paths.TABLE
    forms = ("csv", "md", "tex", "json")
    affix = "_table"


@dataclass(frozen=True)
class FigureEntry(Entry):
    """One figure; its builder takes inputs and params and returns `figures.style.Drawing`."""

    kind = "figure"
    stem = paths.FIGURE
    forms = ("pdf", "png", "csv")
    affix = "draw_"


@dataclass(frozen=True)
class Section:
    """A section of the report, with its tables and figures in order."""

    identifier: str
    heading: str
    lead: str
    """One or two sentences that introduce the section."""
    tables: tuple[TableEntry, ...]
    figures: tuple[FigureEntry, ...] = ()


AnyEntry = TypeVar("AnyEntry", bound=Entry)


def by_name(entries: Iterable[AnyEntry]) -> dict[str, AnyEntry]:
    """Entries of one kind by name, sorted.

    Raises:
        LaminiError: when two entries have the same name.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    for entry, following in pairwise(ordered):
        if entry.name == following.name:
            raise LaminiError(f"{entry.kind} {entry.name!r}: declared twice in lamini.catalogue")
    return {entry.name: entry for entry in ordered}


@lru_cache
def _functions(module: str) -> frozenset[str]:
    """Names of a module's functions, from its source text; empty if there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return frozenset()
    text = Path(spec.origin).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^def (\w+)\(", text, re.MULTILINE))
