"""Catalogue of tables and figures: sections, names, builders, inputs and params.

Each table and figure is one small job with its own inputs, so a change rebuilds only the affected
ones. A new one needs an entry in its section's module and a builder function. A missing builder
raises an error when Snakemake reads the Snakefile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lamini import paths
from lamini.catalogue.costs import COSTS
from lamini.catalogue.dataset import DATASET
from lamini.catalogue.entries import Entry, FigureEntry, Section, TableEntry, by_name
from lamini.catalogue.evaluation import EVALUATION
from lamini.catalogue.human_evaluation import HUMAN_EVALUATION
from lamini.catalogue.models import MODELS
from lamini.catalogue.params.report import CrateParams, LineageParams, ReportParams
from lamini.catalogue.run import RuleFiles, Run
from lamini.catalogue.sweeps import sweep_entry, sweep_section, swept
from lamini.errors import LaminiError
from lamini.user_files import rule_inputs, user_files_digest

if TYPE_CHECKING:  # For annotations: a job that makes a table loads no settings.
    from lamini.workflow import Workflow

SECTIONS = (DATASET, MODELS, EVALUATION, HUMAN_EVALUATION, COSTS)
"""Sections of the report that every run may have, in order."""
TABLES = by_name(entry for section in SECTIONS for entry in section.tables)
FIGURES = by_name(entry for section in SECTIONS for entry in section.figures)


def table_entry(name: str) -> Entry:
    """Entry of a table, also of one that is named after a sweep."""
    return TABLES.get(name) or _of_sweep("table", name)


def figure_entry(name: str) -> Entry:
    """Entry of a figure, also of one that is named after a sweep."""
    return FIGURES.get(name) or _of_sweep("figure", name)


def _of_sweep(kind: Literal["table", "figure"], name: str) -> Entry:
    entry = sweep_entry(kind, name)
    if entry is None:
        raise LaminiError(f"{kind} {name!r}: not in lamini.catalogue")
    return entry


def all_sections(tables: Iterable[str]) -> list[Section]:
    """Sections of a report with these tables: those of every run, and that of the sweeps."""
    names = swept(tables)
    if not names:
        return [*SECTIONS]
    position = SECTIONS.index(EVALUATION) + 1
    return [*SECTIONS[:position], sweep_section(names), *SECTIONS[position:]]


CODE = ("Snakefile", "CITATION.cff")
"""Source files that the RO-Crate describes."""


@dataclass(frozen=True)
class CatalogueItem:
    """A table or figure of one configuration."""

    entry: Entry
    section: Section
    catalogue: "Catalogue"

    @property
    def inputs(self) -> RuleFiles:
        """Named input files of its builder."""
        made = {"made": self.catalogue.data_of_others(self)} if self.entry.last else {}
        return {**made, **self.entry.inputs(self.catalogue)}

    @property
    def params(self) -> dict[str, Any]:
        """Params for Snakemake: name of the builder, params of the entry, and common params."""
        own = self.entry.params(self.catalogue).as_params()
        return {"kind": self.entry.builder_name, **own, **self.catalogue.common.as_params()}

    @property
    def labels(self) -> dict[str, str]:
        """Labels in `snakemake --report`."""
        return {"Number": self.entry.number, "Shows": self.entry.label}


class Catalogue(Run):
    """Tables, figures and report of one configuration, with their inputs and params.

    Args:
        flow: the configuration as the rules see it.
    """

    def __init__(self, flow: "Workflow") -> None:
        super().__init__(flow)
        items = [
            CatalogueItem(entry, section, self)
            for section in (*SECTIONS, sweep_section(self.config.sweeps))
            for entry in (*section.tables, *section.figures)
            if entry.when(self)
        ]
        items.sort(key=lambda item: item.entry.name)
        self.tables = {i.entry.name: i for i in items if isinstance(i.entry, TableEntry)}
        self.figures = {i.entry.name: i for i in items if isinstance(i.entry, FigureEntry)}

    def table_files(self, *forms: str) -> list[str]:
        """Files of all tables in the requested formats; in all formats by default."""
        return [path for item in self.tables.values() for path in item.entry.files(*forms)]

    def acceptance_files(self) -> list[str]:
        """Files of the acceptance table; empty if no model of the authors is evaluated."""
        return self.tables["acceptance"].entry.files() if "acceptance" in self.tables else []

    def figure_files(self, *forms: str) -> list[str]:
        """Files of all figures in the requested formats; in all formats by default."""
        return [path for item in self.figures.values() for path in item.entry.files(*forms)]

    def data_of_others(self, item: CatalogueItem) -> list[str]:
        """CSV files of all other tables and figures, except those that have this input too."""
        others = (*self.tables.values(), *self.figures.values())
        return [
            path
            for other in others
            if other is not item and not other.entry.last
            for path in other.entry.files("csv")
        ]

    def report_inputs(self) -> RuleFiles:
        """Named inputs of the report."""
        return {
            "tables": self.table_files("json"),
            "figures": self.figure_files("png"),
            "data": self.figure_files("csv"),
            "projection": [paths.PROJECTION.format(mixture=self.mixture)] if self.panels else [],
            "lineage": paths.LINEAGE,
            "config": paths.RUN_CONFIG,
            **self.analysis(manifest=paths.DATASET_MANIFEST),
            "summaries": self.summaries,
            "topics": [paths.TOPIC_FUNNEL] if self.has_topics else [],
            "answers": [paths.ANSWERS.format(model=model) for model in self.rated_models],
            "ratings": [self.rated("models", paths.RATINGS)] if self.rated_models else [],
        }

    def lineage_inputs(self) -> RuleFiles:
        """Named inputs of the lineage: all tables and figures."""
        return {"tables": self.table_files("json"), "figures": self.figure_files("png")}

    @property
    def _code(self) -> list[str]:
        return [paths.of_project(name) for name in CODE]

    def crate_inputs(self) -> RuleFiles:
        """Named inputs of the RO-Crate; `snakefile` and `citation` are part of the repository."""
        snakefile, citation = rule_inputs(self._code)
        return {
            "lineage": paths.LINEAGE,
            "report": paths.REPORT,
            "config": paths.RUN_CONFIG,
            "snakefile": snakefile,
            "citation": citation,
        }

    def crate_params(self) -> CrateParams:
        """Params of rule `write_crate`."""
        report = self.config.report
        return CrateParams(
            title=report.title, files=user_files_digest(self._code), version=report.version
        )

    def lineage_params(self) -> LineageParams:
        """Params of rule `collect_lineage`."""
        return LineageParams(version=self.config.report.version)

    def report_params(self) -> ReportParams:
        """Params of rule `write_report`."""
        report = self.config.report
        evaluated = self.flow.evaluated_models
        return ReportParams(
            title=report.title,
            reproduction=report.reproduction,
            another_teacher=self.another_teacher,
            shown_points=report.shown_points,
            version=report.version,
            teacher=self.flow.teacher_name if self.generated else None,
            students=[student.name for student in self.students],
            student_keys=list(self.config.students),
            trained=self.trains,
            references=[self.config.models[m].name for m in self.config.references],
            tasks=len(self.config.evaluated_tasks),
            task_keys={name: key for key, name in self.task_names.items()},
            model_keys={self.config.models[model].name: model for model in evaluated},
            rated=[self.scored(model) for model in self.rated_models],
            samples=self.config.evaluation.samples,
            protocol=" and ".join(sorted({*map(self.config.protocol, evaluated)})),
            studies=self.flow.studies,
            symbols=self.symbols,
            panels=self.panels,
            left_out=self.flow.left_out,
        )
