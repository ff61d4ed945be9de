"""Contents of a hub repository: checked files of `results/`, and the card for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lamini import paths
from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.exports.results import ExportCheck
from lamini.files import read_json, sha256_file
from lamini.publish.cards import (
    contamination_section,
    evaluation_section,
    exports_section,
    teacher_section,
)
from lamini.settings import Config

CARD = "README.md"


@dataclass(frozen=True)
class Repository:
    """Planned contents of one repository."""

    repo_id: str
    """Id on the hub, such as `my-lab/my-instructions`."""
    kind: Literal["dataset", "model"]
    card: str
    files: dict[str, Path]
    """Files in addition to the card, by their path in the repository."""
    lacks: list[str] = field(default_factory=list)
    """Missing parts of the card, each with the missing file of `results/`."""

    def describe(self, private: bool) -> str:
        """Repository, files with sizes, and missing parts of the card, for the terminal."""
        sizes = {CARD: len(self.card.encode())}
        sizes |= {name: path.stat().st_size for name, path in self.files.items()}
        lines = [f"{self.kind} {self.repo_id} ({'private' if private else 'public'})"]
        lines += [f"  {size:>15,}  {name}" for name, size in sizes.items()]
        lines.append(f"  {sum(sizes.values()):>15,}  bytes in {len(sizes)} files")
        return "\n".join([*lines, *(f"  the card lacks {what}" for what in self.lacks)])


def dataset_repository(results: Path, mixture: str, repo_id: str) -> Repository:
    """Contents of the repository of a mixture, from its export.

    Raises:
        LaminiError: if the export is missing, or its SHA-256 differs from the manifest.
    """
    manifest = paths.within(results, paths.DATASET_MANIFEST, mixture=mixture)
    parquet = paths.within(results, paths.EXPORT_PARQUET, mixture=mixture)
    written = paths.within(results, paths.EXPORT_CARD, mixture=mixture)
    if not written.is_file() or not parquet.is_file():
        target = paths.EXPORT_CARD.format(mixture=mixture)
        raise LaminiError(f"{written.parent}: missing; run `snakemake {target}`")
    _check(parquet, DatasetManifest.read(manifest).sha256, manifest)
    card = written.read_text("utf-8")
    lacks: list[str] = []
    card += _contamination(results, mixture, "contamination", lacks)
    return Repository(
        repo_id, "dataset", card, {parquet.name: parquet, "manifest.json": manifest}, lacks
    )


def model_repository(results: Path, config: Config, model: str, repo_id: str) -> Repository:
    """Contents of the repository of a student, from its final checkpoint.

    Raises:
        LaminiError: if the checkpoint is missing, or a file differs from its manifest.
    """
    manifest = paths.within(results, paths.CHECKPOINT_MANIFEST, model=model)
    folder = manifest.parent
    if not manifest.is_file():
        raise LaminiError(f"{folder}: missing; run `snakemake {manifest}`")
    listed: Mapping[str, Any] = read_json(manifest)["files"]
    for name, entry in listed.items():
        _check(folder / name, entry["sha256"], manifest)
    files = {name: folder / name for name in sorted(listed) if name != CARD}
    # The student may have been renamed since its training.
    title = f"# {config.models[model].name}"
    written = (folder / CARD).read_text("utf-8")
    card = re.sub("^# .*$", lambda _: title, written, count=1, flags=re.MULTILINE)
    lacks: list[str] = []
    card += _teacher(results, config.models[model].mixture, lacks)
    initialization = config.models[model].initialization or ""
    section, missing = evaluation_section(results, config, model, initialization)
    if section:
        card += section
    if missing:
        scores = paths.within(results, paths.EVALUATION, model=model, task="*").parent
        lacks.append(f"scores on {', '.join(missing)}: not in {scores}")
    card += _contamination(
        results, config.models[model].mixture, "contamination of its data", lacks
    )
    checks, exported = _exports(results, model)
    if checks:
        card += exports_section(checks, config)
    files |= {manifest.name: manifest, **exported}
    return Repository(repo_id, "model", card, files, lacks)


def _exports(results: Path, model: str) -> tuple[list[ExportCheck], dict[str, Path]]:
    """Checks of a student's exported files, the largest first, and the files.

    Raises:
        LaminiError: if a file differs from its check or its manifest.
    """
    pattern = paths.within(results, paths.EXPORT_CHECK, model=model, type="*")
    checks = [ExportCheck.read(path) for path in pattern.parent.glob(pattern.name)]
    checks.sort(key=lambda check: (-check.bytes, check.type))
    files: dict[str, Path] = {}
    for check in checks:
        path = pattern.parent / check.file
        _check(path, check.sha256, pattern.with_name(f"{check.type}.json"))
        files[check.file] = path
        if path.suffix != ".gguf":  # the manifest of a folder
            for name, entry in read_json(path)["files"].items():
                _check(path.parent / name, entry["sha256"], path)
                files[f"{path.parent.name}/{name}"] = path.parent / name
    return checks, files


def _teacher(results: Path, mixture: str, lacks: list[str]) -> str:
    """Section on the teacher, or "" (and an entry in `lacks`) without the dataset's manifest."""
    manifest = paths.within(results, paths.DATASET_MANIFEST, mixture=mixture)
    if manifest.is_file():
        return teacher_section(manifest)
    lacks.append(f"teacher of its data: no {manifest}")
    return ""


def _contamination(results: Path, mixture: str, what: str, lacks: list[str]) -> str:
    """Contamination section, or "" (and an entry in `lacks`) if the analysis is missing."""
    table = paths.within(results, paths.CONTAMINATION, mixture=mixture)
    if table.is_file():
        return contamination_section(table, mixture)
    lacks.append(f"{what}: no {table}")
    return ""


def _check(path: Path, sha256: str, manifest: Path) -> None:
    if not path.is_file() or sha256_file(path) != sha256:
        raise LaminiError(f"{path}: is not the file that {manifest} describes; create it again")
