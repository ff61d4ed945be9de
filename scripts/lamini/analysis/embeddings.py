"""Sentence embeddings of a sample of each compared source's instructions (section 3.3.2).

Embeddings are saved as an artifact of their own: computing them needs a GPU, plotting does not.
Each source is embedded apart, because a vector's last digits depend on the texts that are computed
with it. So a source's vectors do not depend on the other sources, and are taken from the previous
file if its texts and the model are as before.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.analysis.sampling import choose_rows, sampled_batches
from lamini.arrays import Vectors
from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import atomic_writer, resolve_path, stable_hash
from lamini.jobs.commits import commit_to_read
from lamini.jobs.previous import previous_output
from lamini.log import Progress
from lamini.settings.params.analysis import EmbedInstructions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXTS_AT_ONCE = 4096
_BATCH = 64
_KEYS = b"lamini.sources"
"""Metadata of the Parquet file: a digest of each source's texts and model, as JSON."""
logger = logging.getLogger("lamini")


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
        embeddings: Parquet to write: `id`, `instruction_source`, `instruction`, `cut` (whether the
            text is longer than the model reads), `embedding` (fixed-size list of float32;
            normalized only if the model normalizes), in the dataset's order.
        settings: the rule's params: `model`, `revision`, `samples`, `sources`, and the sampling
            `seed`; a source's sample does not depend on other sources.

    Raises:
        LaminiError: when a requested source is not in the dataset, or the model cannot be loaded.
    """
    chosen = choose_rows(
        DatasetManifest.read(manifest),
        settings.sources,
        settings.samples,
        purpose="embed_instructions",
        seed=settings.seed,
        setting="analysis.embeddings.panels",
    )
    waiting: dict[str, list[pa.RecordBatch]] = {source: [] for source in chosen}
    for source, batch in sampled_batches(dataset, chosen, ["id", "instruction"]):
        waiting[source].append(batch.select(["id", "instruction_source", "instruction"]))
    texts = {source: pa.Table.from_batches(batches) for source, batches in waiting.items()}
    keys = {source: _key(table, settings) for source, table in texts.items()}
    previous = _previous_tables(embeddings, keys)
    model = None if len(previous) == len(texts) else load_model(settings.model, settings.revision)
    total = sum(map(len, texts.values()))
    with Progress(total, "instructions") as progress:
        parts = []
        for source, table in texts.items():
            if source in previous:
                logger.info("%s: texts and model as before; the embeddings are kept", source)
                parts.append(previous[source])
            else:
                assert model is not None
                parts.append(_embed_source(model, table))
            progress.advance(len(table))
    embedded = pa.concat_tables(parts).replace_schema_metadata({_KEYS: json.dumps(keys)})
    with atomic_writer(embeddings, "wb") as handle:
        pq.write_table(embedded, handle, compression="zstd", row_group_size=TEXTS_AT_ONCE)


def _key(texts: pa.Table, settings: EmbedInstructions) -> str:
    """Digest of all that a source's embeddings depend on, except the code."""
    model = [settings.model, settings.revision, settings.version]
    return stable_hash([*model, texts["id"].to_pylist(), texts["instruction"].to_pylist()])


def _previous_tables(embeddings: str | Path, keys: Mapping[str, str]) -> dict[str, pa.Table]:
    """Rows of the previous file, of the sources whose texts and model are as before."""
    path = previous_output("embed_instructions", embeddings)
    if path is None:
        return {}
    table = pq.read_table(path)
    before = json.loads((table.schema.metadata or {}).get(_KEYS, "{}"))
    same = [source for source, key in keys.items() if before.get(source) == key]
    rows = {source: pc.equal(table["instruction_source"], source) for source in same}
    return {source: table.filter(rows[source]).replace_schema_metadata() for source in same}


def _embed_source(model: "SentenceTransformer", texts: pa.Table) -> pa.Table:
    """Texts of one source with the columns `cut` and `embedding`."""
    size = model.get_embedding_dimension()
    vectors, cut = [], []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts["instruction"].slice(start, TEXTS_AT_ONCE).to_pylist()
        vectors.append(embed(model, part))
        cut += are_cut(model, part)
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(vectors).ravel()), size)
    return texts.append_column("cut", pa.array(cut, pa.bool_())).append_column("embedding", column)


def load_model(model: str, revision: str | None) -> "SentenceTransformer":
    """Load a sentence-transformers model, on a GPU if there is one.

    Args:
        model: hub id, folder, or `package:NAME/PATH` for a folder inside a package.
        revision: revision of a hub model.

    Raises:
        LaminiError: when the model cannot be loaded; names the model.
    """
    from sentence_transformers import SentenceTransformer

    location = str(resolve_path(model))
    try:
        return SentenceTransformer(location, revision=commit_to_read(location, revision))
    except (OSError, ValueError) as error:
        raise LaminiError(
            f"{model}: no sentence-transformers model could be loaded ({error!s:.300});"
            " check `analysis.embeddings.model`"
        ) from error


def embed(model: "SentenceTransformer", texts: list[str]) -> Vectors:
    """Embeddings of texts, shape (texts, dimensions), float32."""
    vectors = model.encode(texts, batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(vectors, np.float32)


def are_cut(model: "SentenceTransformer", texts: list[str]) -> list[bool]:
    """Whether each text has more tokens than the model reads; its end then counts for nothing."""
    limit = model.max_seq_length
    if limit is None or not texts:
        return [False] * len(texts)
    tokens = model.tokenizer(texts, truncation=False, padding=False, verbose=False)["input_ids"]
    return [len(ids) > limit for ids in tokens]
