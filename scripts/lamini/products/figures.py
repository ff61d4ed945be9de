"""The figures: which there are, what each is drawn from, and what it depends on."""

from functools import cached_property
from typing import Any

from lamini.products.parts import Params, Parts, published


class Figures(Parts):
    """Params and inputs of every figure."""

    @cached_property
    def figures(self) -> dict[str, Params]:
        """Params of every figure, by name."""
        panels = self.config.analysis.embeddings.panels
        symbols = {name: source.symbol for name, source in self.config.sources.items()}
        figures: dict[str, Params] = {
            "3": {"kind": "projection", "panels": [list(p) for p in panels], "symbols": symbols},
            "5": {
                "kind": "scores",
                "models": [self._model(m) for m in self.flow.evaluated_models],
                "reference_lines": self.config.report.reference_lines,
                "tasks": list(self.config.evaluated_tasks),
            },
            "learning_curves": {"kind": "learning_curves", "students": self._students()},
            "lengths": {"kind": "lengths", "symbols": symbols},
            "verbs": {"kind": "verbs", "mixture": self.flow.analysed_mixture},
        }
        if self._dataset_study:
            figures["4"] = {"kind": "dataset_ratings", "symbols": symbols}
        if self._model_study:
            figures["6"] = {"kind": "model_ratings", "names": self._study_names()}
        return {name: figures[name] | self._common for name in sorted(figures)}

    def figure_files(self, *endings: str) -> list[str]:
        """Files of all figures with the given endings."""
        wanted = endings or ("pdf", "png", "csv")
        return [f"results/figures/figure_{name}.{e}" for name in self.figures for e in wanted]

    def figure_inputs(self, figure: str) -> dict[str, Any]:
        """Named inputs of a figure."""
        if figure == "3":
            mixture = self.flow.analysed_mixture
            return {"projection": f"results/analysis/{mixture}/projection.parquet"}
        if figure in ("lengths", "verbs"):
            return {figure: f"results/analysis/{self.flow.analysed_mixture}/{figure}.csv"}
        if figure == "4":
            return {"ratings": f"results/human_eval/{self._dataset_study}/ratings.csv"}
        if figure == "5":
            return {"evals": self.evals(self.flow.evaluated_models)} | published("eval_results")
        if figure == "6":
            ratings = f"results/human_eval/{self._model_study}/ratings.csv"
            return {"ratings": ratings} | published("human_evaluation_models")
        manifests = self._manifests()
        return {"metrics": [path.replace("manifest.json", "metrics.jsonl") for path in manifests]}
