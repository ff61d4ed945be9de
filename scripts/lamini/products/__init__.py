"""The tables, the figures and the report: which there are, and what each is made from.

Each is one small job with its own inputs, so that a change redraws only what shows it.
"""

from typing import Any

from lamini.products.figures import Figures
from lamini.products.parts import Params
from lamini.products.sections import CAPTIONS, TITLES, number_of
from lamini.products.tables import Tables
from lamini.roots import fingerprint, root_inputs

CODE = ("Snakefile", "CITATION.cff")
"""Files of the code that the RO-Crate tells of."""


class Products(Tables, Figures):
    """Inputs and params of the tables, figures and report of one configuration."""

    def table_inputs(self, table: str) -> dict[str, Any]:
        """Named inputs of a table; that of the costs waits for all others and the figures."""
        if table != "cost":
            return super().table_inputs(table)
        made = [path for path in self.table_files("csv") if not path.endswith("/table_cost.csv")]
        spent = "results/analysis/generation.csv"
        dollars = {"generation": spent} if self.config.dataset == "generated" else {}
        return {"made": [*made, *self.figure_files("csv")], **dollars}

    def report_inputs(self) -> dict[str, Any]:
        """Named inputs of the report."""
        mixture = self.flow.analysed_mixture
        return {
            "tables": self.table_files("json"),
            "figures": self.figure_files("png"),
            "data": self.figure_files("csv"),
            "projection": f"results/analysis/{mixture}/projection.parquet",
            "lineage": "results/report/lineage.json",
            "config": "results/run_config.yaml",
            "manifest": f"results/dataset/{mixture}.manifest.json",
            "summaries": self._summaries,
            "topics": ["results/topics/funnel.json"] if self._has_topics else [],
        }

    def lineage_inputs(self) -> dict[str, Any]:
        """Named inputs of the lineage: the tables and figures whose making it tells."""
        return {"tables": self.table_files("json"), "figures": self.figure_files("png")}

    def crate_inputs(self) -> dict[str, Any]:
        """Named inputs of the RO-Crate; the code's own files come with a clone."""
        snakefile, citation = root_inputs(CODE)
        return {
            "lineage": "results/report/lineage.json",
            "report": "results/report/index.html",
            "config": "results/run_config.yaml",
            "snakefile": snakefile,
            "citation": citation,
        }

    def crate_params(self) -> Params:
        """Of `write_crate`."""
        report = self.config.report
        return {"title": report.title, "files": fingerprint(CODE), "version": report.version}

    def lineage_params(self) -> Params:
        """Of `collect_lineage`."""
        return {"version": self.config.report.version}

    def report_params(self) -> Params:
        """Of `write_report`."""
        report = self.config.report
        symbols = {name: source.symbol for name, source in self.config.sources.items()}
        evaluated = self.flow.evaluated_models
        return {
            "title": report.title,
            "reproduction": report.reproduction,
            "shown_points": report.shown_points,
            "version": report.version,
            "teacher": self.config.teacher.model if self.config.dataset == "generated" else None,
            "students": [student["name"] for student in self._students()],
            "student_keys": list(self.config.students),
            "references": [self.config.models[m].name for m in self.config.references],
            "tasks": len(self.config.evaluated_tasks),
            "protocol": " and ".join(sorted({*map(self.config.protocol, evaluated)})),
            "studies": self.flow.studies,
            "symbols": symbols,
            "panels": [list(panel) for panel in self.config.analysis.embeddings.panels],
        }

    def report_labels(self, kind: str, name: str) -> dict[str, str]:
        """What `snakemake --report` lists a table or figure under.

        Args:
            kind: "table" or "figure".
            name: as in the file name.
        """
        shows = TITLES[name] if kind == "table" else CAPTIONS[name]
        return {"Number": number_of(kind, name), "Shows": shows}
