"""Check that no id occurs twice within a source; later files refer to pairs by source and id."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from lamini.arrays import Hashes
from lamini.errors import LaminiError


class UniqueIds:
    """The ids of one source after another, as 8-byte hashes: shards of any size fit in memory."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[Path, Hashes]]] = {}

    def add(self, path: Path, source: str, ids: pa.ChunkedArray) -> None:
        """Add the ids of a shard, or of a part of it.

        Raises:
            LaminiError: an id occurs twice among them.
        """
        names = pl.Series(pl.from_arrow(ids))
        if len(twice := names.filter(names.is_duplicated())):
            raise LaminiError(_message(twice[0], path, path))
        self._parts.setdefault(source, []).append((path, names.hash().to_numpy()))

    def colliding(self) -> dict[str, list[Path]]:
        """Per source, the shards with an id that has the hash of another id, each shard once."""
        shards = {}
        for source, parts in self._parts.items():
            hashes = np.concatenate([part for _, part in parts])
            values, counts = np.unique(hashes, return_counts=True)
            if len(values) < len(hashes):
                twice = values[counts > 1]
                paths = (path for path, part in parts if np.isin(part, twice).any())
                shards[source] = list(dict.fromkeys(paths))
        return shards


def check_shards(path_ids: dict[Path, pa.ChunkedArray]) -> None:
    """Compare the ids of shards one by one.

    Args:
        path_ids: ids of each shard.

    Raises:
        LaminiError: two shards have the same id.
    """
    first: dict[str, Path] = {}
    for path, ids in path_ids.items():
        for name in ids.to_pylist():
            if name in first:
                raise LaminiError(_message(name, first[name], path))
            first[name] = path


def _message(name: str, first: Path, second: Path) -> str:
    where = f"twice in {first}" if first == second else f"in {first} and in {second}"
    return f"{second}: id {name} occurs {where}; ids are unique in a source: remake the shards"
