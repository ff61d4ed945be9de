"""A run of the paper's size in the pipeline's formats: 32 models on 15 tasks, and its report."""

import csv
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from dataset_cases import dataset_manifest
from score_cases import result

from lamini import paths
from lamini.analysis.contamination import HIT_EXAMPLES
from lamini.catalogue import Catalogue, CatalogueItem
from lamini.catalogue.params.common import ItemParams
from lamini.figures.draw import draw_figure
from lamini.files import listed, read_json, write_json, write_jsonl
from lamini.jobs.provenance import file_digests, provenance_path, record_job
from lamini.report.lineage import collect_lineage
from lamini.report.write import write_report
from lamini.tables.make import make_table
from lamini.tables.published import published_scores
from lamini.training.metrics import StepMetrics
from lamini.workflow import Workflow

ROOT = Path(__file__).parents[2]
TABLES = (
    *("01", "generation", "averages", "by_task", "task_scores", "scores", "reproduction"),
    *("reproduced_improvement", "cost", "cost_by_source", "cost_by_model", "08"),
)
FIGURES = ("3", "5", "learning_curves", "lengths")
ANSWERED = 114
HOSTILE = "<img src=x onerror='hacked = 1'> </script><script>hacked = 2</script> &amp;"


class ReportCase:
    """The files of a run in the working folder."""

    def __init__(self, teacher: str = "gpt-3.5-turbo") -> None:
        config: dict[str, Any] = {}
        for name in ("config", "sources", "models", "tasks"):
            config |= yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
        config["teacher"] |= {"model": teacher, "backend": "external"}
        Path("config").symlink_to(ROOT / "config")
        self.flow = Workflow(config)
        self.catalogue = Catalogue(self.flow)
        self.analysis = Path(f"results/analysis/{self.flow.analysed_mixture}")
        self._random = random.Random(1)
        self._evals()
        self._dataset()
        self._training()
        self._contamination()
        self._answers()
        for rule in ("train_model/a", "evaluate_others/b", "generate_pairs/alpaca/0000"):
            row = {"s": 7200.0, "threads": 4, "cpu_time": 9000, "max_rss": 2048.0}
            write_jsonl(f"results/benchmarks/{rule}.jsonl", [row | {"resources": {"gpu": 1}}])
        Path("results/run_config.yaml").write_text("seed: 42\n")

    def table(self, name: str) -> None:
        """Make one table from its inputs."""
        table = self.catalogue.tables[name]
        inputs = {**table.inputs, **({"made": []} if table.entry.last else {})}
        outputs = _outputs(table)
        make_table(name, _files(inputs), ItemParams.model_validate(table.params), outputs)
        _record("make_table", table.params, inputs, outputs)

    def figure(self, name: str) -> None:
        """Draw one figure from its inputs."""
        figure = self.catalogue.figures[name]
        outputs = _outputs(figure)
        draw_figure(name, _files(figure.inputs), ItemParams.model_validate(figure.params), outputs)
        _record("draw_figure", figure.params, figure.inputs, outputs)

    def report(self, page: str) -> Path:
        """Collect the lineage, and write the report."""
        tables = [Path(f"results/tables/table_{name}.json") for name in TABLES]
        pictures = [Path(f"results/figures/figure_{name}.png") for name in FIGURES]
        collect_lineage(tables=tables, figures=pictures, lineage="results/report/lineage.json")
        inputs = _files(self.catalogue.report_inputs()) | {
            "tables": tables,
            "figures": pictures,
            "data": [path.with_suffix(".csv") for path in pictures],
            "summaries": [],
            "topics": [],
        }
        output = Path(f"results/report/{page}.html")
        settings = self.catalogue.report_params().model_copy(update={"studies": []})
        answers = output.with_name("answers.html")
        write_report(**inputs, settings=settings, page=output, answers_page=answers)
        return output.absolute()

    def make_all(self) -> Path:
        """Every table and figure, then the report."""
        for name in TABLES:
            self.table(name)
        for name in FIGURES:
            self.figure(name)
        return self.report("index")

    def _evals(self) -> None:
        """The published scores plus noise, so that some are inside our intervals."""
        published = published_scores("config/paper/eval_results.csv")
        for model in self.flow.evaluated_models:
            for task in self.flow.config.evaluated_tasks:
                before = published[self.flow.config.models[model].name]
                definition = self.flow.config.tasks[task]
                score = before[definition.name] + self._random.gauss(0, 1.5)
                path = f"results/evals/{model}/{task}.json"
                count = definition.examples if task == "rte" else 60
                result(
                    model,
                    task,
                    score=score,
                    interval=[score - 2, score + 2],
                    values=[float(n < 0.6 * score) for n in range(count)],
                    examples=definition.examples,
                ).write(path)
                _record("evaluate_model", {"version": 1}, {}, {"evals": path})

    def _dataset(self) -> None:
        sources = list(self.flow.config.sources)
        columns = ["samples", "instruction_tokens", "instruction_mean_tokens"]
        columns += ["response_tokens", "response_mean_tokens"]
        rows = [[s, *(str(1000 + 7 * n) for n, _ in enumerate(columns)), "", ""] for s in sources]
        columns += ["instruction_margin", "response_margin"]
        self._csv("statistics", ["instruction_source", *columns], rows)
        given = {"given": "config/paper/dataset_statistics.csv"}
        statistics = self.analysis / "statistics.csv"
        _record("measure_dataset", {"version": 1}, given, {"statistics": statistics})
        lengths = [
            [source, text, str(2**n), str(10 * n)]
            for source in sources
            for text in ("instruction", "response")
            for n in range(9)
        ]
        heading = ["instruction_source", "text", "tokens_from", "samples"]
        self._csv("lengths", heading, lengths)
        asked = {"source": "alpaca", "stage": "pairs", "requests": "52002", "wanted": "52002"}
        asked |= {"accepted": "52002", "parse_rate": "", "prompt_tokens": "3600000"}
        asked |= {"completion_tokens": "2800000", "dollars": "6.00", "model": "gpt-3.5-turbo"}
        _write_csv("results/analysis/generation.csv", list(asked), [list(asked.values())])
        points = [
            {"panel": panel, "instruction_source": source, "instruction": f"{HOSTILE} {n}"}
            | {"x": self._random.gauss(order, 1), "y": self._random.gauss(0, 1)}
            for panel, sets in enumerate(self.flow.config.analysis.embeddings.panels)
            for order, source in enumerate(sets)
            for n in range(2000)
        ]
        pl.DataFrame(points).write_parquet(self.analysis / "projection.parquet")
        kept = {"perplexity": "30.0", "kept_percent": "61.7", "neighbours": "15"}
        panels = [
            [letter, *kept.values(), "0.2"]
            for letter, _ in zip("abc", self.flow.config.analysis.embeddings.panels, strict=False)
        ]
        self._csv("neighbourhoods", ["panel", *kept, "chance_percent"], panels)
        manifest = dataset_manifest({source: {} for source in sources}, rows=2_580_000)
        manifest.write(f"results/dataset/{self.flow.analysed_mixture}.manifest.json")

    def _training(self) -> None:
        for student in self.flow.config.students:
            rows = [
                StepMetrics.untrained(3 - n / 210 if n % 50 == 0 else None).model_copy(
                    update={"step": n, "loss": 3 - n / 200 if n else None}
                )
                for n in range(301)
            ]
            StepMetrics.write_rows(paths.METRICS.format(model=student), rows)

    def _contamination(self) -> None:
        """Six of RTE's examples share a run of words with the dataset, one of them a short one."""
        tasks = self.flow.config.evaluated_tasks
        mixture = self.flow.analysed_mixture
        searched = [[t, mixture, str(self.flow.config.tasks[t].examples)] for t in tasks]
        self._csv("contamination", ["task", "instruction_source", "examples"], searched)
        rows = [("rte", place, 13 if place else 8, 1) for place in range(6)]
        frame = pl.DataFrame(rows, HIT_EXAMPLES.names, orient="row")
        frame.write_parquet(self.analysis / "contaminated_examples.parquet")

    def _answers(self) -> None:
        """Answers to 114 instructions and to one that is not in the study, of 19 models."""
        words = ["bread", "water", "stone", "river", "garden", "winter"]
        ratings = []
        for model in self.catalogue.rated_models:
            rows = [
                {"id": f"user_{n}", "motivation_app": "Mail", "instruction": f"Instruction {n}."}
                | {"response": f"{HOSTILE} {n} {model} " + " ".join(words) * 40, "truncated": False}
                for n in range(ANSWERED + 1)
            ]
            write_jsonl(paths.ANSWERS.format(model=model), rows)
            ratings += [[row["id"], model, "human", "A"] for row in rows[:ANSWERED]]
        heading = ["source_id", "subject", "rater", "rating"]
        _write_csv(self.catalogue.rated("models", paths.RATINGS), heading, ratings)

    def _csv(self, name: str, heading: list[str], rows: Iterable[list[str]]) -> None:
        _write_csv(self.analysis / f"{name}.csv", heading, rows)


def _files(inputs: Mapping[str, str | list[str]]) -> dict[str, Any]:
    """Named inputs of a rule, as its function gets them."""
    return {
        name: Path(files) if isinstance(files, str) else [*map(Path, files)]
        for name, files in inputs.items()
    }


def _outputs(item: CatalogueItem) -> dict[str, str | Path]:
    return dict(zip(item.entry.forms, item.entry.files(), strict=True))


def _write_csv(path: str | Path, heading: list[str], rows: Iterable[list[str]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows(rows)


def _record(
    rule: str,
    settings: dict[str, Any],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
) -> None:
    """Record a job by the named files of its rule."""
    files = [path for value in inputs.values() for path in listed(value)]
    record_job(rule=rule, settings=settings, inputs=file_digests(files), outputs=outputs.values())


def edit_record(artifact: str, changes: dict[str, Any]) -> None:
    """Change the record of the job that made an artifact."""
    path = read_json(provenance_path(artifact))["job"]
    write_json(path, read_json(path) | changes)
