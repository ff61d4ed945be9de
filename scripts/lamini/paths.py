"""Paths of all files of a run, each written once.

The rules declare their files with these patterns, and the package fills in the wildcards: sources,
shards, mixtures, tokenizers, models, tasks and studies are named in the configuration. All paths
are relative to the run's folder, which is the project's root by default. Logs and benchmark files
are named after the rule (`lamini.workflow.rule_logs`).
"""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
"""The project's root, with Snakefile and config/; a run may be in another folder."""
RESULTS = Path("results")

# Topics, instructions and pairs.
DOWNLOAD = "results/downloads/{download}"
TOPICS = "results/topics/topics.jsonl"
TOPIC_FUNNEL = "results/topics/funnel.json"
PROMPTS = "results/prompts/{source}.jsonl"
PROMPT_FUNNEL = "results/prompts/{source}.funnel.json"
INSTRUCTIONS = "results/instructions/{source}/{shard}.jsonl"
INSTRUCTION_REJECTS = "results/instructions/{source}/{shard}.rejects.jsonl.zst"
QUERIES = "results/queries/{source}/{shard}.jsonl"
QUERY_FUNNEL = "results/queries/{source}.funnel.json"
PAIRS = "results/pairs/{source}/{shard}.jsonl"
INSTRUCTION_REPORT = "results/instructions/{source}/{shard}.report.json"
PAIR_REPORT = "results/pairs/{source}/{shard}.report.json"
GENERATION = "results/analysis/generation.csv"
TOPIC_COVERAGE = "results/analysis/topic_coverage.csv"

# The dataset and its analysis.
DATASET = "results/dataset/{mixture}.parquet"
DATASET_MANIFEST = "results/dataset/{mixture}.manifest.json"
DATASET_CARD = "results/dataset/{mixture}.card.md"
DATASHEET = "results/dataset/{mixture}.datasheet.md"
CROISSANT = "results/dataset/{mixture}.croissant.json"
EXPORT_CARD = "results/export/{mixture}/README.md"
EXPORT_PARQUET = "results/export/{mixture}/{mixture}.parquet"
EXPORT_JSONL = "results/export/{mixture}.jsonl"
STATISTICS = "results/analysis/{mixture}/statistics.csv"
DIVERSITY = "results/analysis/{mixture}/diversity.csv"
MATTR_READINGS = "results/analysis/{mixture}/mattr_readings.csv"
QUALITY = "results/analysis/{mixture}/quality.csv"
READABILITY = "results/analysis/{mixture}/readability.csv"
LENGTHS = "results/analysis/{mixture}/lengths.csv"
TOKEN_COUNTS = "results/analysis/{mixture}/token_counts/{tokenizer}.csv"
EMBEDDINGS = "results/analysis/{mixture}/embeddings.parquet"
NEIGHBOURHOODS = "results/analysis/{mixture}/neighbourhoods.csv"
PROJECTION = "results/analysis/{mixture}/projection.parquet"
SEMANTIC_DIVERSITY = "results/analysis/{mixture}/semantic_diversity.csv"
CONTAMINATION = "results/analysis/{mixture}/contamination.csv"
CONTAMINATION_HITS = "results/analysis/{mixture}/contamination.parquet"
CONTAMINATED_EXAMPLES = "results/analysis/{mixture}/contaminated_examples.parquet"
PARAPHRASES = "results/analysis/{mixture}/paraphrases.csv"
PARAPHRASE_PAIRS = "results/analysis/{mixture}/paraphrase_pairs.jsonl"
NEAR_DUPLICATES = "results/analysis/{mixture}/near_duplicates.parquet"
NEAR_DUPLICATE_COUNTS = "results/analysis/{mixture}/near_duplicates.csv"
PERSONAL_DATA = "results/analysis/{mixture}/personal_data.csv"
FUNNEL = "results/analysis/{mixture}/funnel.csv"
VERBS = "results/analysis/{mixture}/verbs.csv"
DETECTOR_ERRORS = "results/analysis/detectors.csv"

# Tokenizers and models. A manifest is the only declared file of its folder.
TOKENIZER = "results/tokenizers/{tokenizer}"
TOKENIZER_MANIFEST = f"{TOKENIZER}/manifest.json"
PRETRAINED = "results/pretrained/{model}"
PRETRAINED_MANIFEST = f"{PRETRAINED}/manifest.json"
TOKENIZED = "results/tokenized/{mixture}/{tokenizer}"
TOKENIZED_MANIFEST = f"{TOKENIZED}/manifest.json"
STUDENT = "results/checkpoints/{model}"
"""A student's folder: the final checkpoint, and training's own checkpoints in `work/`."""
CHECKPOINT = f"{STUDENT}/final"
CHECKPOINT_MANIFEST = f"{CHECKPOINT}/manifest.json"
METRICS = f"{CHECKPOINT}/metrics.jsonl"

# Students as files for llama.cpp and CTranslate2, and the checks of these files.
GGUF = "results/exports/{model}/{model}.{type}.gguf"
CONVERTED_MANIFEST = "results/exports/{model}/{model}.{type}.ctranslate2/manifest.json"
EXPORT_CHECK = "results/exports/{model}/{type}.json"

# Evaluation, answers and ratings.
TASK_DATA = "results/task_data/{path}.jsonl"
EVALUATION = "results/evals/{model}/{task}.json"
SAMPLES = "results/evals/{model}/{task}.samples.jsonl.zst"
LM_EVAL_RESULTS = "results/evals/{model}/lm_eval/results_{task}.json"
LM_EVAL_SAMPLES = "results/evals/{model}/lm_eval/samples_{task}.jsonl"
SWEEP = "results/sweeps/{sweep}.json"
ANSWERS = "results/answers/{model}.jsonl"
STUDY_ANSWERS = "results/answers/{study}/{model}.jsonl"
ITEMS = "results/human_eval/{study}/items.jsonl"
ITEM_KEY = "results/human_eval/{study}/key.json"
ITEM_FUNNEL = "results/human_eval/{study}/funnel.json"
SHEET = "results/human_eval/{study}/sheets/{annotator}.html"
VERDICTS = "results/human_eval/{study}/verdicts.jsonl"
RATINGS = "results/human_eval/{study}/ratings.csv"
RATING_SUMMARY = "results/human_eval/{study}/summary.json"

# Tables, figures and report. Tables and figures have several formats: these are the stems.
TABLE = "results/tables/table_{table}"
FIGURE = "results/figures/figure_{figure}"
RUN_CONFIG = "results/run_config.yaml"
LINEAGE = "results/report/lineage.json"
REPORT = "results/report/index.html"
ANSWERS_PAGE = "results/report/answers.html"
CRATE = "results/ro-crate-metadata.json"
CRATE_WORKFLOW = "results/workflow/Snakefile"

# Records of the run, which no rule declares.
LOGS = Path("results/logs")
BENCHMARKS = Path("results/benchmarks")
PROVENANCE = Path("results/provenance")
JOB_RECORDS = PROVENANCE / "jobs"
JOBS_FILE = Path("results/jobs.json")
PLAN_FILE = Path("results/plan.json")
PREVIOUS = Path("results/previous")
CODE_FILE = Path("results/code.json")


def of_project(path: str) -> str:
    """A file of the project: in the run's folder, else in the project's root."""
    return path if Path(path).is_file() else str(PROJECT / path)


def is_result(path: str) -> bool:
    """Whether a path is below the results folder: the output of a rule or a record of the run."""
    return path.startswith(f"{RESULTS}/")


def within(results: Path, pattern: str | Path, **wildcards: str) -> Path:
    """File of a pattern in another results folder, such as a test's.

    Args:
        results: the results folder.
        pattern: one of the paths above.
        wildcards: values of the pattern's wildcards.
    """
    return results / Path(str(pattern).format(**wildcards)).relative_to(RESULTS)
