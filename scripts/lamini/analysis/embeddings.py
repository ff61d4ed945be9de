"""Sentence embeddings of a sample of each compared source's instructions (section 3.3.2).

Embeddings are saved as an artifact of their own: computing them needs a GPU, plotting does not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lamini.analysis.sampling import choose_rows, sampled_batches
from lamini.errors import LaminiError
from lamini.files import atomic_writer, read_json, resolve_path
from lamini.log import Progress
from lamini.settings.params import EmbedInstructions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = np.ndarray[Any, np.dtype[np.float32]]
TEXTS_AT_ONCE = 4096
_BATCH = 64


def embed_instructions(
    *,
    manifest: str | Path,
    dataset: str | Path,
    embeddings: str | Path,
    settings: EmbedInstructions,
) -> None:
    """Embed up to `samples` instructions of each source that Figure 3 shows.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        embeddings: Parquet to write: `id`, `instruction_source`, `instruction`, `embedding`
            (fixed-size list of float32; normalized only if the model normalizes), in the dataset's
            order.
        settings: the rule's params: `model`, `revision`, `samples`, `sources`, and the sampling
            `seed`; a source's sample does not depend on other sources.

    Raises:
        LaminiError: when a requested source is not in the dataset, or the model cannot be loaded.
    """
    facts = read_json(manifest)
    samples = choose_rows(
        facts,
        settings.sources,
        settings.samples,
        purpose="embed_instructions",
        seed=settings.seed,
        setting="analysis.embeddings.panels",
    )
    model = load_model(settings.model, settings.revision)
    size = model.get_embedding_dimension()
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("instruction_source", pa.string()),
            ("instruction", pa.string()),
            ("embedding", pa.list_(pa.float32(), size)),
        ]
    )
    total = sum(map(len, samples.values()))
    sampled = sampled_batches(dataset, samples, ["id", "instruction"])
    with (
        atomic_writer(embeddings, "wb") as handle,
        Progress(total, "instructions") as progress,
        pq.ParquetWriter(handle, schema, compression="zstd") as writer,
    ):
        for table in _regroup(batch for _, batch in sampled):
            vectors = embed(model, table["instruction"].to_pylist())
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), size)
            with_vectors = table.append_column("embedding", column)
            writer.write_table(with_vectors.select(schema.names).cast(schema))
            progress.advance(len(table))


def load_model(model: str, revision: str | None) -> "SentenceTransformer":
    """Load a sentence-transformers model, on a GPU if there is one.

    Args:
        model: hub id, folder, or `package:NAME/PATH` for a folder inside a package.
        revision: revision of a hub model.

    Raises:
        LaminiError: when the model cannot be loaded; names the model.
    """
    from sentence_transformers import SentenceTransformer

    place = str(resolve_path(model))
    try:
        return SentenceTransformer(place, revision=revision)
    except (OSError, ValueError) as error:
        raise LaminiError(
            f"{model}: no sentence-transformers model could be loaded ({error!s:.300});"
            " check `analysis.embeddings.model`"
        ) from error


def embed(model: "SentenceTransformer", texts: list[str]) -> Vectors:
    """Embeddings of texts, shape (texts, dimensions), float32."""
    vectors = model.encode(texts, batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(vectors, np.float32)


def _regroup(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Regroup batches into tables of `TEXTS_AT_ONCE` rows; only the last table may be shorter."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        table = pa.Table.from_batches(waiting)
        while len(table) >= TEXTS_AT_ONCE:
            yield table.slice(0, TEXTS_AT_ONCE)
            table = table.slice(TEXTS_AT_ONCE)
        waiting = table.to_batches()
    if waiting and (table := pa.Table.from_batches(waiting)):
        yield table
