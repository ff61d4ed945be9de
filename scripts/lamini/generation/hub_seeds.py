"""Seed collections on the hub: their configurations (subsets), and the rows of each.

A repository whose data the hub itself converted to Parquet (branch `refs/convert/parquet`) has no
card that names configurations: its files are `CONFIGURATION/SPLIT/0000.parquet`. `SPLIT` starts
with `partial-` where the hub converted only the first 5 GB. The library `datasets` takes all files
for one configuration. So the configurations are then read from the names of the folders.
"""

import functools
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamini.errors import LaminiError
from lamini.jobs.commits import commit_to_read
from lamini.settings.sources import HubData

if TYPE_CHECKING:
    from datasets import IterableDataset

_CARD = "README.md"
_CONVERTED = re.compile(r"([^/]+)/(?:partial-)?([^/]+?)(?:-part\d+)?/\d{4,}\.parquet")
logger = logging.getLogger("lamini")


class HubSeeds:
    """The seed data of a repository at one commit, for all subsets.

    Args:
        data: repository, revision, split, and the wanted subsets.

    Raises:
        LaminiError: from each method, if the hub does not give the data; names the remedy.
    """

    def __init__(self, data: HubData) -> None:
        commit = commit_to_read(data.repo, data.revision, "dataset")
        self.data = data.model_copy(update={"revision": commit})

    def subsets(self) -> list[str | None]:
        """Names of the configurations to read; None for a dataset's default configuration."""
        if self.data.subsets is not None:
            return list(self.data.subsets)
        if self._converted is not None:
            names = sorted(self._converted)
        else:
            from datasets import get_dataset_config_names

            options = {"revision": self.data.revision}
            names = sorted(self._from_hub(get_dataset_config_names, self.data.repo, **options))
        excluded = self.data.exclude_subsets
        kept: list[str | None] = [n for n in names if not any(re.search(p, n) for p in excluded)]
        return [None] if kept == ["default"] else kept

    def rows(self, subset: str | None) -> "IterableDataset":
        """The rows of a configuration, which are read while they are used."""
        from datasets import load_dataset

        options: dict[str, Any] = {"split": self.data.split, "streaming": True}
        if self._converted is None:
            options |= {"name": subset, "revision": self.data.revision}
            return self._from_hub(load_dataset, self.data.repo, **options)
        if (files := self._converted.get(subset or "default")) is None:
            raise LaminiError(
                f"{self.data.repo} at revision {self.data.revision}: has no subset {subset} with a"
                f" split {self.data.split}; correct `seeds.hub`"
            )
        repository = f"hf://datasets/{self.data.repo}@{self.data.revision}"
        options["data_files"] = {self.data.split: [f"{repository}/{file}" for file in files]}
        return self._from_hub(load_dataset, "parquet", **options)

    @functools.cached_property
    def _converted(self) -> Mapping[str, list[str]] | None:
        """Files of the split by configuration, in the hub's own conversion; None: it is none."""
        from huggingface_hub import HfApi

        if Path(self.data.repo).exists():  # a folder, which `datasets` reads like a repository
            return None
        options = {"repo_type": "dataset", "revision": self.data.revision}
        paths = self._from_hub(HfApi().list_repo_files, self.data.repo, **options)
        matches = [_CONVERTED.fullmatch(path) for path in paths if path.endswith(".parquet")]
        if _CARD in paths or not matches or None in matches:
            return None
        files: dict[str, list[str]] = {}
        for match in sorted(filter(None, matches), key=lambda match: match[0]):
            if match[2] == self.data.split:
                files.setdefault(match[1], []).append(match[0])
        without = {match[1] for match in matches if match} - set(files)
        if without:
            logger.info("%d subsets have no split %s", len(without), self.data.split)
        return files

    def _from_hub(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """Call the hub; every error is raised as a `LaminiError` with a remedy."""
        try:
            return call(*arguments, **options)
        except Exception as error:  # the hub's client raises dozens of types
            raise LaminiError(
                f"{self.data.repo} at revision {self.data.revision}: cannot be read from the hub"
                f" ({type(error).__name__}: {error!s:.300}); check `seeds.hub`, or set local files"
                " in `seeds.local`"
            ) from error
