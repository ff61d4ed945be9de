"""Training instructions whose meaning is near that of evaluated examples: paraphrases of them.

Shared runs of words (`lamini.analysis.contamination`) find copies, but no example in other words.
So the texts of the evaluated examples are embedded by the model of Figure 3, and each example has
the similarity of its nearest training instruction, among those that Figure 3 samples.
A high similarity is a candidate and no proof: the nearest pairs are written out, to be read.

The instructions are read in batches and compared with blocks of the examples' texts, so memory does
not depend on their number.
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from lamini.analysis.columns import parquet_file
from lamini.analysis.embeddings import TEXTS_AT_ONCE, are_cut, embed, load_model
from lamini.analysis.examples import Examples, read_examples
from lamini.analysis.words import word_hashes
from lamini.arrays import Integers, Vectors
from lamini.evaluation.results import wilson
from lamini.files import atomic_writer, derive_seed, write_jsonl
from lamini.log import Progress
from lamini.settings.params.analysis import FindParaphrases

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

COLUMNS = (
    "task",
    "examples",
    "searched",
    "median_similarity",
    "similarity_from",
    "found",
    "percent",
    "percent_low",
    "percent_high",
    "without_shared_words",
)
"""`found`: searched examples whose nearest instruction has this similarity or a higher one, with
their share and its 95 % interval; `without_shared_words`: those of them that share no run of words
with a pair. Task `all_tasks` has the searched examples of all tasks."""
_QUERIES = 2048
_EQUAL = 1e-6
"""Similarities that differ less are equal: the first instruction counts, in each order of sums."""
_ALL = "all_tasks"
logger = logging.getLogger("lamini")


def find_paraphrases(
    *,
    embeddings: str | Path,
    examples: str | Path,
    paraphrases: str | Path,
    pairs: str | Path,
    settings: FindParaphrases,
) -> None:
    """Count evaluated examples by the similarity of their nearest instruction.

    Args:
        embeddings: Parquet of `embed_instructions`.
        examples: Parquet of `find_contamination`: the examples that share words with a pair.
        paraphrases: CSV to write, columns `COLUMNS`: one row per task and threshold.
        pairs: JSONL to write: the nearest pairs of each task, highest similarity first: `task`,
            `example` (row in its split), `text` (of the example), `similarity`, `id`,
            `instruction_source`, `instruction`, `shared_words` (longest run of words that the
            example shares with any pair; 0: none).
        settings: the rule's params.

    Raises:
        LaminiError: a task's examples cannot be read, or the model cannot be loaded.
    """
    evaluated = read_examples(settings.tasks, settings.mirror)
    searched = _searched(evaluated, settings)
    used = searched["text"].unique().sort()
    # No GPU is reserved for this job, so none is used.
    model = load_model(settings.model, settings.revision).to("cpu")
    queries = _embedded(model, [evaluated.texts[text] for text in used])
    nearest = Nearest(queries)
    file = parquet_file(embeddings)
    with Progress(file.metadata.num_rows, "instructions") as progress:
        for batch in file.iter_batches(TEXTS_AT_ONCE, columns=["embedding"]):
            nearest.compare(_vectors(batch.column(0)))
            progress.advance(len(batch))
    near = pl.DataFrame({"text": used, "similarity": nearest.similarity, "row": nearest.row})
    shared = pl.read_parquet(examples).select("task", "example", "words")
    best = (
        searched.join(near, on="text", how="left", maintain_order="left")
        .sort("similarity", descending=True, maintain_order=True)
        .unique("number", keep="first", maintain_order=True)
        .with_columns(pl.col("task").replace_strict(dict(enumerate(evaluated.tasks)), default=""))
        .join(shared, on=["task", "example"], how="left", maintain_order="left")
        .with_columns(pl.col("words").fill_null(0))
    )
    with atomic_writer(paraphrases) as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rows(evaluated, best, settings.thresholds))
    write_jsonl(pairs, _quoted(evaluated, best, embeddings, settings.quoted))


def _searched(evaluated: Examples, settings: FindParaphrases) -> pl.DataFrame:
    """Texts that are long enough, of at most `examples_per_task` examples of each task."""
    _, starts = word_hashes(pa.array(evaluated.texts, pa.string()))
    words = np.diff(starts)
    long = evaluated.frame.filter(words[evaluated.frame["text"].to_numpy()] >= settings.min_words)
    chosen: list[Integers] = []
    for index, task in enumerate(evaluated.tasks):
        numbers = long.filter(pl.col("task") == index)["number"].unique().sort().to_numpy()
        most = settings.examples_per_task
        if most is not None and len(numbers) > most:
            random = np.random.default_rng(derive_seed("find_paraphrases", settings.seed, task))
            numbers = random.choice(numbers, most, replace=False)
        chosen.append(numbers)
    return long.filter(pl.col("number").is_in(np.concatenate(chosen).tolist()))


def _embedded(model: "SentenceTransformer", texts: list[str]) -> Vectors:
    """Vectors of unit length, shape (texts, dimensions)."""
    vectors = [np.zeros((0, model.get_embedding_dimension() or 0), np.float32)]
    cut = 0
    with Progress(len(texts), "texts of examples") as progress:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            vectors.append(_unit(embed(model, part)))
            cut += sum(are_cut(model, part))
            progress.advance(len(part))
    if cut:
        logger.info("%d of %d texts are cut: the model reads no longer ones", cut, len(texts))
    return np.concatenate(vectors)


def _vectors(column: pa.Array) -> Vectors:
    """Vectors of a column of embeddings, of unit length."""
    flat = np.asarray(column.flatten(), np.float32)
    return _unit(flat.reshape(len(column), -1))


def _unit(vectors: Vectors) -> Vectors:
    """The vectors with unit length; a zero vector stays, and is similar to none."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


class Nearest:
    """The most similar of many vectors for each query, found batch by batch.

    Args:
        queries: vectors of unit length, shape (queries, dimensions).
    """

    def __init__(self, queries: Vectors) -> None:
        self._queries = queries
        self._seen = 0
        self.similarity = np.full(len(queries), -np.inf, np.float32)
        """Cosine similarity of the nearest vector so far. Shape (queries,)."""
        self.row: Integers = np.full(len(queries), -1, np.int64)
        """Its number among all vectors so far; the first one, if several are equally near."""

    def compare(self, vectors: Vectors) -> None:
        """Compare with the next vectors, of unit length, shape (vectors, dimensions)."""
        for start in range(0, len(self._queries), _QUERIES):
            block = slice(start, start + _QUERIES)
            products = self._queries[block] @ vectors.T
            highest = products.max(axis=1)
            first = (products >= highest[:, None] - _EQUAL).argmax(axis=1)
            nearer = highest > self.similarity[block] + _EQUAL
            self.similarity[block][nearer] = highest[nearer]
            self.row[block][nearer] = first[nearer] + self._seen
        self._seen += len(vectors)


def _rows(
    evaluated: Examples, best: pl.DataFrame, thresholds: list[float]
) -> Iterator[dict[str, Any]]:
    """Rows of the table."""
    sizes = dict(zip(evaluated.tasks, np.diff(evaluated.firsts).tolist(), strict=True))
    for task, size in [*sizes.items(), (_ALL, evaluated.count)]:
        own = best if task == _ALL else best.filter(pl.col("task") == task)
        median = float(np.median(own["similarity"].to_numpy())) if len(own) else None
        for threshold in thresholds:
            near = own.filter(pl.col("similarity") >= threshold - _EQUAL)
            share = len(near) / len(own) if len(own) else None
            ends = (None, None) if share is None else wilson(share, len(own))
            percents = (None if value is None else f"{100 * value:.4f}" for value in (share, *ends))
            unshared = near.filter(pl.col("words") == 0).height
            values = (
                *(task, size, len(own), None if median is None else f"{median:.4f}", threshold),
                *(len(near) if len(own) else None, *percents, unshared if len(own) else None),
            )
            yield dict(zip(COLUMNS, values, strict=True))


def _quoted(
    evaluated: Examples, best: pl.DataFrame, embeddings: str | Path, most: int
) -> Iterator[dict[str, Any]]:
    """The nearest pairs of each task, highest similarity first."""
    if not most:
        return
    chosen = best.group_by("task", maintain_order=True).head(most)
    wanted = chosen["row"].unique().sort().to_numpy()
    instructions: dict[int, dict[str, Any]] = {}
    start = 0
    columns = ["id", "instruction_source", "instruction"]
    for batch in parquet_file(embeddings).iter_batches(TEXTS_AT_ONCE, columns=columns):
        here = wanted[(wanted >= start) & (wanted < start + len(batch))]
        rows = batch.take(pa.array(here - start)).to_pylist()
        instructions |= dict(zip(here.tolist(), rows, strict=True))
        start += len(batch)
    for task in evaluated.tasks:
        for row in chosen.filter(pl.col("task") == task).iter_rows(named=True):
            yield {
                "task": task,
                "example": row["example"],
                "text": evaluated.texts[row["text"]],
                "similarity": round(row["similarity"], 4),
                **instructions[row["row"]],
                "shared_words": row["words"],
            }
