"""The tables: which there are, what each is made from, and what it depends on."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from lamini.products.parts import Params, Parts, published
from lamini.products.published import (
    FAMILY_TABLES,
    PUBLISHED_FAMILIES,
    PUBLISHED_MODELS,
    PUBLISHED_STARTS,
    PUBLISHED_TABLE_4,
)


class Tables(Parts):
    """Params and inputs of every table."""

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
            "scores": self._scores(
                "Scores of all models on the downstream tasks.",
                self.flow.evaluated_models,
                PUBLISHED_MODELS,
            ),
            "reproduction": {
                "kind": "reproduction",
                "models": [self._model(model) for model in self._reproduced],
                "tasks": self._task_names,
            },
            "cost": {"kind": "cost"},
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
        if analysis.other_tokenizers:
            tables["tokenizers"] = {
                "kind": "tokenizers",
                **mixture,
                "tokenizers": [analysis.tokenizer, *analysis.other_tokenizers],
                "dataset": self.config.dataset,
            }
        if self._improvements:
            tables["improvement"] = {
                "kind": "improvement",
                "pairs": self._improvements,
                "tasks": self._task_names,
                "mixture": self.flow.analysed_mixture,
                "words": max(analysis.contamination.ngrams),
            }
        if self._reproduced_improvements:
            tables["reproduced_improvement"] = {
                "kind": "reproduced_improvement",
                "pairs": self._reproduced_improvements,
                "tasks": self._task_names,
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

    def table_files(self, *endings: str) -> list[str]:
        """Files of all tables with the given endings."""
        wanted = endings or ("csv", "md", "tex", "json")
        return [f"results/tables/table_{name}.{e}" for name in self.tables for e in wanted]

    def acceptance_files(self) -> list[str]:
        """Files of the acceptance table; none when no public model of the authors' takes part."""
        return [path for path in self.table_files() if "/table_acceptance." in path]

    def table_inputs(self, table: str) -> dict[str, Any]:
        """Named inputs of a table."""
        analysis = f"results/analysis/{self.flow.analysed_mixture}"
        others = self.config.analysis.other_tokenizers
        counts = [f"{analysis}/token_counts/{name}.csv" for name in others]
        counts = [f"{analysis}/statistics.csv", *counts]
        ratings = self._study_files(ratings="ratings.csv", rated="items.jsonl")
        paper = published("eval_results") | published("models", "collection")
        reproduced = self.evals(self._reproduced)
        own: dict[str, dict[str, Any]] = {
            "01": {"statistics": f"{analysis}/statistics.csv"} | published("dataset_statistics"),
            "02": {"diversity": f"{analysis}/diversity.csv"} | published("dataset_statistics"),
            "tokenizers": {"counts": counts} | published("dataset_statistics"),
            "03": published("models"),
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
            "improvement": {
                "evals": self._evals_of_pairs(self._improvements),
                "contamination": f"{analysis}/contamination.csv",
            },
            "reproduced_improvement": {"evals": self._evals_of_pairs(self._reproduced_improvements)}
            | paper,
            "reproduction": ({"evals": reproduced} if reproduced else {}) | paper,
            "acceptance": {"evals": self.evals(self._acceptance)} | published("authors_results"),
        }
        if table in self._rating_tables():
            return {"summaries": self._summaries}
        if table in own:
            return own[table]
        models = [model["key"] for model in self.tables[table]["models"]]
        return {"evals": self.evals(models)} | published("eval_results")

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
    def _reproduced_improvements(self) -> list[dict[str, dict[str, str]]]:
        """Those of the paper's students that started from what the paper's started from."""
        return [
            pair
            for pair in self._improvements
            if (pair["baseline"]["name"], pair["student"]["name"]) in PUBLISHED_STARTS
        ]

    def _evals_of_pairs(self, pairs: Iterable[dict[str, dict[str, str]]]) -> list[str]:
        """Evaluation results of students and baselines, each once."""
        return self.evals(dict.fromkeys(pair[role]["key"] for pair in pairs for role in pair))

    @property
    def _reproduced(self) -> list[str]:
        """Evaluated models that the paper's tables show."""
        models = self.config.models
        return [m for m in self.flow.evaluated_models if models[m].name in PUBLISHED_MODELS]

    @property
    def _acceptance(self) -> list[str]:
        wanted = self.config.report.acceptance
        return [model for model in wanted if model in self.flow.evaluated_models]

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


def _plain(title: str, *notes: str, digits: int = 2) -> Params:
    return {"kind": "plain", "title": title, "notes": list(notes), "digits": digits, "columns": []}
