"""How one table or figure is declared: name, title, builder, inputs and params in one place.

Snakemake reads the catalogue at the start of every job, so an entry names its builder and does not
import it. That the builder exists is checked all the same, from the source of its module.
"""

import importlib.util
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from lamini.catalogue.run import Params, Run
from lamini.errors import LaminiError


@dataclass(frozen=True)
class Entry:
    """One table or figure.

    Raises:
        LaminiError: when a piece is empty or there is no such builder; names the entry.
    """

    name: str
    """As in the file name: "04", "funnel"."""
    title: str
    """The caption, without the number. Values of the data stand in it as `{value}`."""
    builder: str
    """`module:function` that makes it from inputs and params."""
    inputs: Callable[[Run], dict[str, Any]]
    """Its named input files."""
    params: Callable[[Run], Params] = lambda run: {}
    """What it depends on, apart from its inputs."""
    when: Callable[[Run], Any] = lambda run: True
    """Whether a run has it."""
    chart: str = ""
    """`module:function` that makes the report's interactive form of it from the report's inputs
    and params (`lamini.report.charts`)."""
    last: bool = False
    """Whether it waits for the data of all other tables and figures, its input `made`."""

    kind: ClassVar[str]
    """ "table" or "figure"."""
    forms: ClassVar[tuple[str, ...]]
    """Endings of its files."""
    affix: ClassVar[str]
    """What the names of all builders of this kind begin or end with."""

    def __post_init__(self) -> None:
        if not (self.name and self.title):
            raise LaminiError(f"{self.kind} {self.name!r}: no name or title in lamini.catalogue")
        for reference in (self.builder, *([self.chart] if self.chart else [])):
            module, _, function = reference.partition(":")
            if function not in _functions(module):
                raise LaminiError(f"{self.kind} {self.name!r}: there is no function {reference}")

    @property
    def builder_name(self) -> str:
        """The builder's name, which is among the params: another builder makes it again."""
        return self.builder.partition(":")[2].replace(self.affix, "")

    @property
    def number(self) -> str:
        """What it is called: "Table 4", "Figure 5", or the words of its name."""
        if self.name.isdigit():
            return f"{self.kind.capitalize()} {int(self.name)}"
        return self.name.replace("_", " ").capitalize()

    def heading(self, title: str) -> str:
        """A title with its values, after the number where the paper gives one."""
        return f"{self.number}. {title}" if self.name.isdigit() else title

    @property
    def label(self) -> str:
        """The title, for lists: with dots where it has values of the data."""
        return re.sub(r"\{\w+\}", "…", self.title)

    def files(self, *forms: str) -> list[str]:
        """Its files with the given endings; all files without any."""
        stem = f"results/{self.kind}s/{self.kind}_{self.name}"
        return [f"{stem}.{form}" for form in forms or self.forms]


@dataclass(frozen=True)
class TableEntry(Entry):
    """One table; its builder takes inputs and params, returns `lamini.tables.table.Table`."""

    kind = "table"
    forms = ("csv", "md", "tex", "json")
    affix = "_table"


@dataclass(frozen=True)
class FigureEntry(Entry):
    """One figure; its builder takes inputs and params, returns `lamini.figures.style.Drawing`."""

    kind = "figure"
    forms = ("pdf", "png", "csv")
    affix = "draw_"


@dataclass(frozen=True)
class Section:
    """A part of the report, with what stands in it, in this order."""

    identifier: str
    heading: str
    lead: str
    """One or two sentences on what the part shows."""
    tables: tuple[TableEntry, ...]
    figures: tuple[FigureEntry, ...] = ()


AnyEntry = TypeVar("AnyEntry", bound=Entry)


def by_name(entries: Iterable[AnyEntry]) -> dict[str, AnyEntry]:
    """Entries of one kind by name, sorted.

    Raises:
        LaminiError: when two have the same name.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    for entry, following in pairwise(ordered):
        if entry.name == following.name:
            raise LaminiError(f"{entry.kind} {entry.name!r}: declared twice in lamini.catalogue")
    return {entry.name: entry for entry in ordered}


@lru_cache
def _functions(module: str) -> frozenset[str]:
    """Names of a module's functions, without running it; none when there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return frozenset()
    text = Path(spec.origin).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^def (\w+)\(", text, re.MULTILINE))
