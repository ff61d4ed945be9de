"""The tables, the figures and the report: which there are, and what each is made from.

Each is one small job with its own inputs, so that a change redraws only what shows it.
"""

from typing import Any

from lamini.products.figures import Figures
from lamini.products.parts import Params
from lamini.products.tables import Tables


class Products(Tables, Figures):
    """Inputs and params of the tables, figures and report of one configuration."""

    def report_inputs(self) -> dict[str, Any]:
        """Named inputs of the report."""
        return {
            "tables": self.table_files("json"),
            "figures": self.figure_files("png"),
            "config": "results/run_config.yaml",
            "manifest": f"results/dataset/{self.flow.analysed_mixture}.manifest.json",
            "summaries": self._summaries,
            "topics": ["results/topics/funnel.json"] if self._has_topics else [],
        }

    def report_params(self) -> Params:
        """Of `write_report`."""
        report = self.config.report
        return {
            "title": report.title,
            "reproduction": report.reproduction,
            "version": report.version,
            "teacher": self.config.teacher.model,
            "students": [student["name"] for student in self._students()],
            "references": [self.config.models[m].name for m in self.config.references],
            "tasks": len(self.config.evaluated_tasks),
            "protocol": self.config.evaluation.protocol,
            "studies": self.flow.studies,
        }
