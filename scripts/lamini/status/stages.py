"""Every job that the configuration asks for, by rule, without Snakemake's graph.

What `snakemake` without a target makes in an empty folder; a test compares it with a dry run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lamini.catalogue import Catalogue
from lamini.settings.students import Tokenizer
from lamini.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a rule."""

    rule: str
    """The rules of one family, such as `select_queries_alpaca`, count as one: `select_queries`."""
    key: str
    """Its wildcards as in the paths of its files, such as `alpaca/0003`; empty for a lone job."""
    outputs: tuple[str, ...]
    """Files that are there when it is done; rules with many name those that matter."""

    @property
    def name(self) -> str:
        """Rule and key."""
        return f"{self.rule} {self.key}".strip()

    @property
    def log(self) -> str:
        """Where it logs, by the convention of all rules."""
        return f"results/logs/{self.rule}{'/' if self.key else ''}{self.key}.log"

    @property
    def benchmark(self) -> str:
        """Where Snakemake writes its time and memory."""
        return f"results/benchmarks/{self.rule}{'/' if self.key else ''}{self.key}.jsonl"


def planned_jobs(flow: Workflow) -> list[Job]:
    """All jobs of the configuration, in the pipeline's order."""
    catalogue = Catalogue(flow)
    jobs: list[Job] = []
    if flow.config.dataset == "generated":
        jobs += _generation(flow)
    jobs += _dataset(flow)
    jobs += _training(flow)
    jobs += _evaluation(flow)
    jobs += _human_evaluation(flow)
    jobs.append(Job("write_run_config", "", ("results/run_config.yaml",)))
    for table in catalogue.tables:
        jobs.append(Job("make_table", table, (f"results/tables/table_{table}.json",)))
    for figure in catalogue.figures:
        jobs.append(Job("draw_figure", figure, (f"results/figures/figure_{figure}.pdf",)))
    jobs.append(Job("collect_lineage", "", ("results/report/lineage.json",)))
    jobs.append(Job("write_report", "", ("results/report/index.html",)))
    jobs.append(Job("write_crate", "", ("results/ro-crate-metadata.json",)))
    return [*_downloads(flow), *jobs]


def _downloads(flow: Workflow) -> Iterator[Job]:
    """Public files that another job reads."""
    read: set[str] = set()
    if flow.config.dataset == "generated":
        read |= {path for source in flow.active_sources for path in flow.seed_files(source)}
        read |= {flow.config.topics.dump} if flow.guided_instructions else set()
    read |= {flow.config.answers.instructions} if _answering(flow) else set()
    for name in flow.config.downloads:
        path = f"results/downloads/{name}"
        if path in read:
            yield Job("download_file", name, (path,))


def _generation(flow: Workflow) -> Iterator[Job]:
    if flow.guided_instructions:
        yield Job("select_topics", "", ("results/topics/topics.jsonl",))
    for source in flow.active_sources:
        yield Job("prepare_prompts", source, (f"results/prompts/{source}.jsonl",))
    for source in flow.generated_sources:
        yield from _shards(flow, "generate_instructions", "instructions", source)
    for source in flow.active_sources:
        queries = (*flow.files("queries", source), f"results/queries/{source}.funnel.json")
        yield Job("select_queries", source, queries)
    for source in flow.active_sources:
        yield from _shards(flow, "generate_pairs", "pairs", source)
    yield Job("summarize_generation", "", ("results/analysis/generation.csv",))
    if flow.guided_instructions:
        yield Job("measure_topic_coverage", "", ("results/analysis/topic_coverage.csv",))


def _shards(flow: Workflow, rule: str, folder: str, source: str) -> Iterator[Job]:
    for shard in flow.shards(source):
        place = f"results/{folder}/{source}/{shard}"
        yield Job(rule, f"{source}/{shard}", (f"{place}.jsonl", f"{place}.report.json"))


def _dataset(flow: Workflow) -> Iterator[Job]:
    merge = "merge_pairs" if flow.config.dataset == "generated" else "import_published"
    for mixture in flow.used_mixtures:
        yield Job(merge, mixture, (f"results/dataset/{mixture}.manifest.json",))
    analysed = flow.analysed_mixture
    bases = [flow.config.mixtures[m].decontamination for m in flow.used_mixtures]
    searched = [analysed, *(base.mixture for base in bases if base)]
    for mixture in dict.fromkeys(searched):
        path = f"results/analysis/{mixture}/contamination.parquet"
        yield Job("find_contamination", mixture, (path,))
    for rule, file in (
        ("measure_dataset", "statistics.csv"),
        ("embed_instructions", "embeddings.parquet"),
        ("project_embeddings", "projection.parquet"),
        ("find_near_duplicates", "near_duplicates.parquet"),
        ("count_funnel", "funnel.csv"),
        ("count_verbs", "verbs.csv"),
    ):
        yield Job(rule, analysed, (f"results/analysis/{analysed}/{file}",))
    for tokenizer in flow.config.analysis.other_tokenizers:
        counts = f"results/analysis/{analysed}/token_counts/{tokenizer}.csv"
        yield Job("count_tokens", f"{analysed}/{tokenizer}", (counts,))


def _training(flow: Workflow) -> Iterator[Job]:
    models = flow.config.models
    starts = [models[student].initialization or "" for student in flow.config.students]
    used = dict.fromkeys([*flow.evaluated_models, *starts])
    tokenizers = [flow.config.analysis.tokenizer, *(models[model].tokenizer for model in used)]
    wanted = dict.fromkeys(tokenizers)
    for tokenizer in wanted:
        if flow.config.tokenizers[tokenizer].train and _loaded(flow, tokenizer):
            path = f"results/tokenizers/{tokenizer}/manifest.json"
            yield Job("train_tokenizer", tokenizer, (path,))
    carried = _models_of(flow.config.tokenizers[name] for name in wanted if _loaded(flow, name))
    for model in flow.built_models:
        if model in {*used, *carried}:
            yield Job("build_model", model, (f"results/pretrained/{model}/manifest.json",))
    for folder in dict.fromkeys(flow.tokenized(student) for student in flow.config.students):
        key = folder.removeprefix("results/tokenized/")
        yield Job("tokenize_pairs", key, (f"{folder}/manifest.json",))
    for student in flow.config.students:
        path = f"results/checkpoints/{student}/final/manifest.json"
        yield Job("train_model", student, (path,))


def _loaded(flow: Workflow, tokenizer: str) -> bool:
    """Whether a job needs the tokenizer by itself: to count, to tokenise, or to build a model."""
    models = flow.config.models
    built = [model for model in flow.built_models if models[model].tokenizer == tokenizer]
    students = [m for m in flow.config.students if models[m].tokenizer == tokenizer]
    return bool(built or students) or tokenizer == flow.config.analysis.tokenizer


def _models_of(tokenizers: Iterable[Tokenizer]) -> set[str]:
    return {tokenizer.model for tokenizer in tokenizers if tokenizer.model}


def _evaluation(flow: Workflow) -> Iterator[Job]:
    for batch, tasks in flow.batches.items():
        for model in flow.evaluated_models:
            evals = tuple(f"results/evals/{model}/{task}.json" for task in tasks)
            yield Job(f"evaluate_{batch}", model, evals)
    for model in _answering(flow):
        yield Job("generate_answers", model, (f"results/answers/{model}.jsonl",))


def _answering(flow: Workflow) -> list[str]:
    """Models whose answers a study rates."""
    studies = [flow.study(name) for name in flow.studies]
    rated = [model for study in studies if study.kind == "models" for model in study.models]
    return list(dict.fromkeys(rated))


def _human_evaluation(flow: Workflow) -> Iterator[Job]:
    for study in flow.studies:
        folder = f"results/human_eval/{study}"
        yield Job("select_items", study, (f"{folder}/items.jsonl", f"{folder}/key.json"))
        yield Job("make_rating_sheets", study, tuple(flow.rating_sheets(study)))
        if flow.study(study).judge:
            yield Job("judge_items", study, (f"{folder}/verdicts.jsonl",))
        yield Job("collect_ratings", study, (f"{folder}/ratings.csv", f"{folder}/summary.json"))
