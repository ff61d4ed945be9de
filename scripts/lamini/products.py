"""The tables and figures: which there are, what each is made from, and what it depends on.

Each is one small job with its own inputs, so that a change redraws only what shows it.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from lamini.roots import fingerprint, root_inputs
from lamini.workflow import Workflow

Params = dict[str, Any]

FAMILY_TABLES = {
    "T5": "09",
    "Flan-T5": "10",
    "GPT-Neo": "11",
    "Cerebras-GPT": "12",
    "GPT-2": "13",
}
PUBLISHED_TABLE_4 = (
    "T5-large",
    "LaMini-T5-738M",
    "Flan-T5-large",
    "LaMini-Flan-T5-783M",
    "Cerebras-GPT-1.3B",
    "LaMini-Cerebras-1.3B",
    "GPT-2-xl",
    "LaMini-GPT-1.5B",
    "LLaMA-7B",
    "Alpaca-7B",
)
PUBLISHED_FAMILIES = {
    "T5": ("T5-small", "LaMini-T5-61M", "T5-base", "LaMini-T5-223M", "T5-large", "LaMini-T5-738M"),
    "Flan-T5": (
        "Flan-T5-small",
        "LaMini-Flan-T5-77M",
        "Flan-T5-base",
        "LaMini-Flan-T5-248M",
        "Flan-T5-large",
        "LaMini-Flan-T5-783M",
    ),
    "GPT-Neo": ("GPT-Neo-125M", "LaMini-Neo-125M", "GPT-Neo-1.3B", "LaMini-Neo-1.3B"),
    "Cerebras-GPT": tuple(
        f"{start}-{size}"
        for size in ("111M", "256M", "590M", "1.3B")
        for start in ("Cerebras-GPT", "LaMini-Cerebras")
    ),
    "GPT-2": (
        "GPT-2",
        "LaMini-GPT-124M",
        "GPT-2-large",
        "LaMini-GPT-774M",
        "GPT-2-xl",
        "LaMini-GPT-1.5B",
    ),
}
PAPER = "config/paper"


class Products:
    """Inputs and params of the tables, figures and report of one configuration."""

    def __init__(self, flow: Workflow) -> None:
        self.flow = flow
        self.config = flow.config

    # --- What there is ----------------------------------------------------------------------------

    @cached_property
    def tables(self) -> dict[str, Params]:
        """Params of every table, by name."""
        symbols = {name: source.symbol for name, source in self.config.sources.items()}
        mixture = {"mixture": self.flow.analysed_mixture, "symbols": symbols}
        analysis = self.config.analysis
        tables: dict[str, Params] = {
            "01": {"kind": "statistics", **mixture, "tokenizer": analysis.tokenizer},
            "02": {
                "kind": "diversity",
                **mixture,
                "window": analysis.mattr_window,
                "texts": analysis.mattr_texts,
            },
            "03": {"kind": "collection", "students": self._students()},
            "04": self._scores(
                "Scores of the selected models on the downstream tasks.",
                self.config.report.selected,
                PUBLISHED_TABLE_4,
            ),
            "07": {"kind": "levels"},
            "08": {
                "kind": "tasks",
                "tasks": {
                    task: self.config.tasks[task].model_dump(
                        include={"name", "category", "metric", "examples"}
                    )
                    for task in self.config.evaluated_tasks
                },
            },
            **{name: self._family(family) for family, name in FAMILY_TABLES.items()},
            "training": {"kind": "training", "students": self._students()},
            "quality": _plain("Flags of the generated text, per source."),
            "semantic_diversity": _plain(
                "Semantic diversity of the instructions' embeddings.",
                "Mean pairwise cosine distance and Vendi score, with 95 % bootstrap intervals.",
                digits=3,
            ),
        }
        duplicates, funnel = analysis.duplicates, analysis.funnel
        tables["near_duplicates"] = _plain(
            "Near-duplicate instructions, within a source and of sources before it.",
            f"Jaccard similarity of {duplicates.threshold:g} or more over words in runs of"
            f" {duplicates.ngram}; exact duplicates are among them.",
            digits=1,
        )
        tables["funnel"] = _plain(
            "What is left of each source as doubtful pairs are taken out.",
            "From left to right: not in another language, not refused, not truncated, no"
            f" near-duplicate, no {funnel.shared_words} words shared with an evaluated example.",
            digits=1,
        )
        tables["contamination"] = {
            "kind": "contamination",
            **mixture,
            "sources": self.config.mixtures[self.flow.analysed_mixture].sources,
            "ngrams": sorted(analysis.contamination.ngrams),
            "tasks": self._task_names,
        }
        if self._improvements:
            tables["improvement"] = {
                "kind": "improvement",
                "pairs": self._improvements,
                "tasks": self._task_names,
                "mixture": self.flow.analysed_mixture,
                "words": max(analysis.contamination.ngrams),
            }
        if self._acceptance:
            models = [self._key_and_name(model) for model in self._acceptance]
            tables["acceptance"] = {
                "kind": "acceptance",
                "models": models,
                "tasks": self._task_names,
            }
        if self.config.dataset == "generated":
            tables["generation"] = {"kind": "generation"}
        if self._has_topics:
            tables["topic_coverage"] = _plain(
                "Topics that the topic-guided instructions were shown, and those that they reach.",
                "A topic is reached when an instruction of its request has all its words.",
                digits=1,
            )
        tables |= self._rating_tables()
        if self._model_study:
            tables["05"] = self._disagreement("students")
            tables["06"] = self._disagreement("references")
        return {name: tables[name] | self._common for name in sorted(tables)}

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

    def table_files(self, *endings: str) -> list[str]:
        """Files of all tables with the given endings."""
        wanted = endings or ("csv", "md", "tex", "json")
        return [f"results/tables/table_{name}.{e}" for name in self.tables for e in wanted]

    def acceptance_files(self) -> list[str]:
        """Files of the acceptance table; none when no public model of the authors' takes part."""
        return [path for path in self.table_files() if "/table_acceptance." in path]

    def figure_files(self, *endings: str) -> list[str]:
        """Files of all figures with the given endings."""
        wanted = endings or ("pdf", "png", "csv")
        return [f"results/figures/figure_{name}.{e}" for name in self.figures for e in wanted]

    # --- Inputs -----------------------------------------------------------------------------------

    def table_inputs(self, table: str) -> dict[str, Any]:
        """Named inputs of a table."""
        analysis = f"results/analysis/{self.flow.analysed_mixture}"
        ratings = self._study_files(ratings="ratings.csv", rated="items.jsonl")
        own: dict[str, dict[str, Any]] = {
            "01": {"statistics": f"{analysis}/statistics.csv"} | _published("dataset_statistics"),
            "02": {"diversity": f"{analysis}/diversity.csv"} | _published("dataset_statistics"),
            "03": _published("models"),
            "05": ratings,
            "06": ratings,
            "07": {},
            "08": {"evals": self.evals(self.flow.evaluated_models[:1])},
            "generation": {"generation": "results/analysis/generation.csv"},
            "training": {"manifests": self._manifests()},
            "quality": {"analysis": f"{analysis}/quality.csv"},
            "contamination": {"analysis": f"{analysis}/contamination.csv"},
            "near_duplicates": {"analysis": f"{analysis}/near_duplicates.csv"},
            "funnel": {"analysis": f"{analysis}/funnel.csv"},
            "topic_coverage": {"analysis": "results/analysis/topic_coverage.csv"},
            "semantic_diversity": {"analysis": f"{analysis}/semantic_diversity.csv"},
        }
        if table == "improvement":
            both = [pair[role]["key"] for pair in self._improvements for role in pair]
            evals = self.evals(dict.fromkeys(both))
            return {"evals": evals, "contamination": f"{analysis}/contamination.csv"}
        if table == "acceptance":
            return {"evals": self.evals(self._acceptance)} | _published("authors_results")
        if table in self._rating_tables():
            return {"summaries": self._summaries}
        if table in own:
            return own[table]
        models = [model["key"] for model in self.tables[table]["models"]]
        return {"evals": self.evals(models)} | _published("eval_results")

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
            return {"evals": self.evals(self.flow.evaluated_models)} | _published("eval_results")
        if figure == "6":
            ratings = f"results/human_eval/{self._model_study}/ratings.csv"
            return {"ratings": ratings} | _published("human_evaluation_models")
        manifests = self._manifests()
        return {"metrics": [path.replace("manifest.json", "metrics.jsonl") for path in manifests]}

    def evals(self, models: Iterable[str]) -> list[str]:
        """Evaluation results of some models on all evaluated tasks."""
        return [f"results/evals/{m}/{t}.json" for m in models for t in self.config.evaluated_tasks]

    def report_inputs(self) -> dict[str, Any]:
        """Named inputs of the report."""
        return {
            "tables": self.table_files("json"),
            "figures": self.figure_files("png"),
            "config": "results/run_config.yaml",
            "manifest": f"results/dataset/{self.flow.analysed_mixture}.manifest.json",
            "summaries": self._summaries,
            "topics": self._topic_funnel(),
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

    @cached_property
    def _common(self) -> Params:
        """What every table and figure depends on."""
        reproduction = self.config.report.reproduction
        return {"reproduction": reproduction, "published_files": fingerprint([PAPER])}

    # --- Parts ------------------------------------------------------------------------------------

    @property
    def _task_names(self) -> dict[str, str]:
        return {task: self.config.tasks[task].name for task in self.config.evaluated_tasks}

    def _key_and_name(self, model: str) -> dict[str, str]:
        return {"key": model, "name": self.config.models[model].name}

    @cached_property
    def _improvements(self) -> list[dict[str, dict[str, str]]]:
        """Students with the evaluated models that they started from."""
        starts = {s: self.config.models[s].initialization or "" for s in self.config.students}
        return [
            {"student": self._key_and_name(student), "baseline": self._key_and_name(start)}
            for student, start in starts.items()
            if start in self.config.references
        ]

    @property
    def _acceptance(self) -> list[str]:
        wanted = self.config.report.acceptance
        return [model for model in wanted if model in self.flow.evaluated_models]

    def _topic_funnel(self) -> list[str]:
        return ["results/topics/funnel.json"] if self._has_topics else []

    @property
    def _has_topics(self) -> bool:
        """Whether topics guide instructions that this run generates."""
        return self.config.dataset == "generated" and bool(self.flow.guided_instructions)

    def _manifests(self) -> list[str]:
        return [f"results/checkpoints/{m}/final/manifest.json" for m in self.config.students]

    @property
    def _model_study(self) -> str | None:
        return self._study("models")

    @property
    def _dataset_study(self) -> str | None:
        return self._study("dataset")

    @property
    def _summaries(self) -> list[str]:
        return [f"results/human_eval/{study}/summary.json" for study in self.flow.studies]

    def _rating_tables(self) -> dict[str, Params]:
        """Tables of the ratings, as soon as somebody or something has rated."""
        rated = [study for study in self.flow.studies if self.flow.rating_files(study)]
        names = {name: source.symbol for name, source in self.config.sources.items()}
        names |= self._study_names() if self._model_study else {}
        tables: dict[str, Params] = {}
        if rated or self.flow.judged_studies:
            tables["rating_shares"] = {"kind": "rating_shares", "names": names}
        if self._model_study in (*rated, *self.flow.judged_studies):
            tables["rating_comparisons"] = {"kind": "rating_comparisons", "names": names}
        studies = self.config.human_evaluation.studies
        if any(studies[study].judge or studies[study].rated_twice for study in rated):
            tables["rating_agreement"] = {"kind": "rating_agreement"}
        return tables

    def _study_files(self, **names: str) -> dict[str, str]:
        """Files of the model study by the names of the inputs that they become."""
        folder = f"results/human_eval/{self._model_study}"
        return {name: f"{folder}/{file}" for name, file in names.items()}

    def _study(self, kind: str) -> str | None:
        studies = self.config.human_evaluation.studies
        return next((name for name, study in studies.items() if study.kind == kind), None)

    def _study_names(self) -> dict[str, str]:
        assert self._model_study is not None
        models = self.config.human_evaluation.studies[self._model_study].models
        return {model: self.config.models[model].name for model in models}

    def _disagreement(self, ahead: str) -> Params:
        names = self._study_names()
        roles = {model: self.config.models[model].role for model in names}
        return {
            "kind": "disagreement",
            "students": [m for m in names if roles[m] == "student"],
            "references": [m for m in names if roles[m] == "reference"],
            "names": names,
            "ahead": ahead,
        }

    def _model(self, key: str) -> Params:
        definition = self.config.models[key]
        fields = {"name", "role", "architecture", "family", "parameters"}
        return {"key": key, **definition.model_dump(include=fields)}

    def _students(self) -> list[Params]:
        students = []
        for key in self.config.students:
            start = self.config.models[self.config.models[key].initialization or ""]
            students.append(
                {
                    "key": key,
                    "name": self.config.models[key].name,
                    "architecture": self.config.models[key].architecture,
                    "initialization": start.name,
                    "learning_rate": self.config.recipe(key).learning_rate,
                }
            )
        return students

    def _scores(self, title: str, models: Iterable[str], published: Iterable[str]) -> Params:
        evaluated = [model for model in models if model in self.flow.evaluated_models]
        return {
            "kind": "scores",
            "title": title,
            "models": [self._model(model) for model in evaluated],
            "published_models": list(published),
            "tasks": self._task_names,
        }

    def _family(self, family: str) -> Params:
        models = [m for m in self.flow.evaluated_models if self.config.models[m].family == family]
        title = f"Scores of the {family} models and their students on the downstream tasks."
        return self._scores(title, models, PUBLISHED_FAMILIES[family])


def _published(name: str) -> dict[str, Any]:
    """A file of the paper's numbers as an input; it comes with a clone, so it is `ancient`."""
    return {"published": root_inputs([f"{PAPER}/{name}.csv"])[0]}


def _plain(title: str, *notes: str, digits: int = 2) -> Params:
    return {"kind": "plain", "title": title, "notes": list(notes), "digits": digits, "columns": []}
