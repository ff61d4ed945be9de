"""A share of the training pairs (`samples`), the same share of each source.

All pairs of the dataset are brought into one order, which depends on the seed alone. A share takes
the first pairs of each source in this order, so a smaller share is part of a larger one, and models
with other tokenizers are trained on the same pairs, except those that one of them leaves out.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from lamini.arrays import Integers
from lamini.errors import LaminiError
from lamini.files import derive_seed
from lamini.settings.students import Recipe
from lamini.students.token_cache import TokenCache
from lamini.training.manifest import TrainingSample
from lamini.training.pairs import Selection, select_pairs

logger = logging.getLogger("lamini")


def chosen_pairs(
    cache: TokenCache, recipe: Recipe, dataset: Path | None
) -> tuple[Selection, TrainingSample | None]:
    """Pairs of a run, and its share as in the manifest; None if it takes all pairs.

    The held-out pairs depend on `held_out_seed` alone, so they are the same for all shares.

    Args:
        cache: the tokenized dataset.
        recipe: `samples`, `seed`, `held_out_seed` and what `select_pairs` uses.
        dataset: the dataset (Parquet), which has the source of each pair.

    Raises:
        LaminiError: if no pair is left to train on, or the dataset is not that of the cache.
    """
    everything = select_pairs(cache, held_out_recipe(recipe))
    if recipe.samples is None:
        return everything, None
    if dataset is None:
        raise LaminiError(f"{cache.folder}: `samples` needs the dataset; give --dataset")
    codes, names = read_sources(dataset)
    if len(codes) != cache.dataset_rows:
        raise LaminiError(
            f"{dataset}: {len(codes)} pairs, but {cache.folder} has {cache.dataset_rows}; run"
            " tokenize_pairs again"
        )
    rows = cache.conversations[everything.training]
    chosen = share_of(np.unique(rows), codes, recipe.samples, recipe.seed)
    training = everything.training[np.isin(rows, chosen)]
    if len(training) == 0:
        raise LaminiError(
            f"{cache.folder}: a share of {recipe.samples:g} of {len(everything.training)} training"
            " pairs is none; raise `samples`"
        )
    counts = np.bincount(codes[cache.conversations[training]], minlength=len(names)).tolist()
    sample = TrainingSample(
        share=recipe.samples,
        seed=recipe.seed,
        pairs_not_sampled=len(everything.training) - len(training),
        pairs_by_source=dict(zip(names, counts, strict=True)),
    )
    logger.info("%d of %d training pairs sampled", len(training), len(everything.training))
    return replace(everything, training=training), sample


def held_out_recipe(recipe: Recipe) -> Recipe:
    """The recipe for `select_pairs`: its seed is that of the held-out pairs."""
    if recipe.held_out_seed is None:
        return recipe
    return recipe.model_copy(update={"seed": recipe.held_out_seed})


def read_sources(dataset: Path) -> tuple[Integers, list[str]]:
    """Source of each pair of a dataset, as an index of the sorted names, and the names."""
    column = pl.read_parquet(dataset, columns=["instruction_source"])["instruction_source"]
    codes = column.rank("dense").cast(pl.Int64).to_numpy() - 1
    return codes, column.unique().sort().to_list()


def share_of(training: Integers, sources: Integers, share: float, seed: int) -> Integers:
    """The share of some pairs that the seed draws, the same share of each source.

    Args:
        training: rows of the dataset.
        sources: source of each row of the dataset, 0, 1 ... Shape (pairs,).
        share: above 0 and at most 1; the number of each source's pairs is rounded.
        seed: of the order.

    Returns:
        Some of the rows, ascending.
    """
    keys = np.random.default_rng(derive_seed("samples", seed)).random(len(sources))
    ordered = training[np.lexsort((keys[training], sources[training]))]
    _, counts = np.unique(sources[ordered], return_counts=True)
    taken = np.floor(share * counts + 0.5).astype(np.int64)
    rank = np.arange(len(ordered)) - np.repeat(counts.cumsum() - counts, counts)
    return np.sort(ordered[rank < np.repeat(taken, counts)])
