"""Projection of embeddings by t-SNE (Figure 3), and measures of their semantic diversity.

Each panel is laid out twice: the figure shows the layout that starts from the principal components.
The second one has another seed and starts from random positions; what both layouts keep
of the neighbourhood (`lamini.analysis.neighbourhood`) says how much of the figure is chance.
"""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.analysis.columns import CsvRow, write_csv
from lamini.analysis.neighbourhood import kept_neighbours
from lamini.analysis.semantics import COLUMNS, semantic_diversity
from lamini.arrays import Vectors
from lamini.errors import LaminiError
from lamini.files import atomic_writer, derive_seed
from lamini.settings.params.analysis import ProjectEmbeddings

logger = logging.getLogger("lamini")
Positions = np.ndarray[Any, np.dtype[np.float64]]
Start = Literal["pca", "random"]
PANEL_LETTERS = "abcdefgh"
MIN_POINTS = 5
"""Minimum number of instructions per panel for a meaningful t-SNE."""
MIN_POINTS_OF_SOURCE = 4
"""Minimum number of instructions per source whose diversity is measured."""
NEIGHBOURHOOD_COLUMNS = (
    "panel",
    "instruction_sources",
    "instructions",
    "cut",
    "perplexity",
    "neighbours",
    "kept_percent",
    "second_kept_percent",
    "chance_percent",
    "trustworthiness",
    "second_trustworthiness",
    "same_in_both_percent",
)
"""`cut`: number of instructions that are longer than the model reads. `kept_percent`: nearest
neighbours by the embeddings that are also nearest in the figure; `second_*`: in the second layout.
`same_in_both_percent`: neighbours in the figure that are also neighbours in the second layout."""


def project_embeddings(
    *,
    embeddings: str | Path,
    projection: str | Path,
    neighbourhoods: str | Path,
    diversity: str | Path,
    settings: ProjectEmbeddings,
) -> None:
    """Project each panel's instructions to two dimensions, and measure each source's diversity.

    Args:
        embeddings: Parquet written by `embed_instructions`.
        projection: Parquet to write: `panel` (from 0), `instruction_source`, `instruction`, `x`,
            `y` (float32; t-SNE units).
        neighbourhoods: CSV to write, in `NEIGHBOURHOOD_COLUMNS`, one row per panel.
        diversity: CSV to write, in `lamini.analysis.semantics.COLUMNS`.
        settings: the rule's params: `panels`, `perplexity`, and `seed` of the layout and of the
            texts that are compared.

    Raises:
        LaminiError: when a panel has fewer than `MIN_POINTS` instructions, or a source fewer than
            `MIN_POINTS_OF_SOURCE`.
    """
    sample = pq.read_table(embeddings)
    panels: list[pa.Table] = []
    kept: list[CsvRow] = []
    for number, sources in enumerate(settings.panels):
        shown = sample.filter(pc.is_in(sample["instruction_source"], pa.array(sources)))
        if len(shown) < MIN_POINTS:
            raise LaminiError(
                f"{embeddings}: panel {number} ({' and '.join(sources)}) has {len(shown)}"
                f" instructions, t-SNE needs {MIN_POINTS}; raise `analysis.embeddings.samples`"
            )
        logger.info("panel %d: t-SNE of %d instructions", number, len(shown))
        layout_seed = derive_seed("project_embeddings", settings.seed, *sources)
        vectors = vectors_of(shown)
        positions = tsne_positions(vectors, settings.perplexity, layout_seed)
        panels.append(_panel(number, shown, positions))
        second_seed = derive_seed("second_layout", settings.seed, *sources)
        second = tsne_positions(vectors, settings.perplexity, second_seed, start="random")
        kept.append(_neighbourhood(number, shown, (positions, second), settings))
    with atomic_writer(projection, "wb") as handle:
        pq.write_table(pa.concat_tables(panels), handle, compression="zstd")
    write_csv(neighbourhoods, NEIGHBOURHOOD_COLUMNS, kept)
    write_csv(diversity, COLUMNS, _diversities(sample, settings))


def vectors_of(sample: pa.Table) -> Vectors:
    """Embeddings of a table's rows, shape (rows, dimensions)."""
    column = sample["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(sample), -1)


def usable_perplexity(perplexity: float, rows: int) -> float:
    """The requested perplexity, capped at (rows - 1) / 3, but at least 1."""
    most = max((rows - 1) / 3, 1.0)
    if perplexity > most:
        logger.info("perplexity %.4g is too high for %d points; using %.4g", perplexity, rows, most)
    return min(perplexity, most)


def tsne_positions(
    vectors: Vectors, perplexity: float, seed: int, *, start: Start = "pca"
) -> Positions:
    """t-SNE with cosine distance; the same vectors and seed give the same positions.

    Args:
        vectors: shape (points, dimensions).
        perplexity: capped by `usable_perplexity`.
        seed: seed of the nearest-neighbour search and of the first positions.
        start: first positions: the two principal components, or random ones.

    Returns:
        Positions, shape (points, 2).
    """
    from openTSNE import TSNE

    # One thread: several threads would add up sums in a different order in each run.
    layout = TSNE(
        perplexity=usable_perplexity(perplexity, len(vectors)),
        metric="cosine",
        initialization=start,
        random_state=seed % 2**31,
        n_jobs=1,
    )
    return np.asarray(layout.fit(vectors.astype(np.float64)))


def _neighbourhood(
    number: int,
    shown: pa.Table,
    layouts: tuple[Positions, Positions],
    settings: ProjectEmbeddings,
) -> CsvRow:
    """A panel's row of `NEIGHBOURHOOD_COLUMNS`."""
    sources = settings.panels[number]
    seed = derive_seed("neighbourhoods", settings.seed, *sources)
    kept = kept_neighbours(vectors_of(shown), layouts, seed)
    return [
        PANEL_LETTERS[number],
        " and ".join(sources),
        len(shown),
        pc.sum(shown["cut"]).as_py(),
        usable_perplexity(settings.perplexity, len(shown)),
        kept.neighbours,
        *(100 * share for share in (*kept.shares, kept.chance)),
        *kept.trust,
        100 * kept.both,
    ]


def _panel(number: int, shown: pa.Table, positions: Positions) -> pa.Table:
    return pa.table(
        {
            "panel": pa.array(np.full(len(shown), number, np.int32)),
            "instruction_source": shown["instruction_source"],
            "instruction": shown["instruction"],
            "x": pa.array(positions[:, 0].astype(np.float32)),
            "y": pa.array(positions[:, 1].astype(np.float32)),
        }
    )


def _diversities(sample: pa.Table, settings: ProjectEmbeddings) -> list[CsvRow]:
    """One row per source; all sources are cut to the size of the smallest one."""
    sources = list(dict.fromkeys(source for panel in settings.panels for source in panel))
    vectors = {
        source: vectors_of(sample.filter(pc.equal(sample["instruction_source"], source)))
        for source in sources
    }
    smallest = min(sources, key=lambda source: len(vectors[source]))
    size = len(vectors[smallest])
    if size < MIN_POINTS_OF_SOURCE:
        raise LaminiError(
            f"{smallest} has {size} embedded instructions, its diversity needs"
            f" {MIN_POINTS_OF_SOURCE}; raise `analysis.embeddings.samples`, or"
            " remove it from `analysis.embeddings.panels`"
        )
    rows: list[CsvRow] = []
    for source in sources:
        random = np.random.default_rng(derive_seed("semantic_diversity", settings.seed, source))
        chosen = np.sort(random.choice(len(vectors[source]), size, replace=False))
        measured = semantic_diversity(vectors[source][chosen])
        rows.append([source, size, *(measured[column] for column in COLUMNS[2:])])
    return rows
