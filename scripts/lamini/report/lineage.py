"""Lineage of the tables and figures: all upstream artifacts, and doubt marks.

The records of `lamini.jobs.provenance` are followed from each table and figure back to the
user-provided files. Equal settings, code versions and package versions are stored once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lamini.files import sha256_file, stable_hash
from lamini.jobs.provenance import ArtifactRecord, read_records
from lamini.paths import is_result
from lamini.report.lineage_file import Artifact, CodeVersion, Lineage, LineageLedger, Product
from lamini.teacher.ledger import packed_path

_PARTS = ("source", "model", "mixture", "study")
"""Settings that name the part of a run; stage versions are compared within one part."""


def collect_lineage(*, tables: list[Path], figures: list[Path], lineage: str | Path) -> None:
    """Follow the records of all tables and figures, and write the lineage.

    Args:
        tables: JSON files.
        figures: PNG files.
        lineage: JSON of `Lineage` to write.
    """
    products = [str(path) for path in (*tables, *figures)]
    records = read_records(products)
    shared = SharedValues()
    artifacts = {path: shared.artifact(record) for path, record in sorted(records.items())}
    ledgers = {artifact.ledger for artifact in artifacts.values() if artifact.ledger}
    Lineage(
        artifacts=artifacts,
        rules=_rules(records),
        settings=shared.settings.values,
        code=[CodeVersion.model_validate(code) for code in shared.code.values],
        packages=shared.packages.values,
        ledgers={path: _ledger_file(path) for path in sorted(ledgers)},
        products={path: _product(path, records) for path in products},
    ).write(lineage)


def _rules(records: dict[str, ArtifactRecord]) -> list[str]:
    """Rules in pipeline order: by the greatest depth of their artifacts, then by name.

    The depth of an artifact is the length of the longest path to an artifact that is made from
    user-provided files alone.
    """
    depths: dict[str, int] = {}

    def depth(path: str) -> int:
        if path not in depths:
            depths[path] = 0  # ends a cycle, which only files edited by hand can have
            above = [depth(item) for item in records[path]["inputs"] if item in records]
            depths[path] = max(above, default=-1) + 1
        return depths[path]

    deepest: dict[str, int] = {}
    for path, record in records.items():
        deepest[record["rule"]] = max(depth(path), deepest.get(record["rule"], 0))
    return sorted(deepest, key=lambda rule: (deepest[rule], rule))


@dataclass
class DistinctValues:
    """Distinct values, each with an index."""

    values: list[Any] = field(default_factory=list)
    indices: dict[str, int] = field(default_factory=dict)

    def index(self, value: Any) -> int:
        """Index of a value; a new value is appended."""
        key = stable_hash(value)
        if key not in self.indices:
            self.indices[key] = len(self.values)
            self.values.append(value)
        return self.indices[key]


@dataclass
class SharedValues:
    """Distinct settings, code versions and package versions of all records."""

    settings: DistinctValues = field(default_factory=DistinctValues)
    code: DistinctValues = field(default_factory=DistinctValues)
    packages: DistinctValues = field(default_factory=DistinctValues)

    def artifact(self, record: ArtifactRecord) -> Artifact:
        """One artifact, with indices instead of its settings, code and packages."""
        packages = {"python": record["python"], **record["packages"]}
        # Version 0.1.0 named the additional facts `extra`, and had no records of jobs.
        additional = record.get("facts") or record.get("extra") or {}
        return Artifact(
            rule=record["rule"],
            sha256=record["sha256"],
            seed=record["seed"],
            inputs=record["inputs"],
            ledger=additional.get("ledger"),
            job=record.get("job"),
            settings=self.settings.index(record["settings"]),
            code=self.code.index(record["code"]),
            packages=self.packages.index(packages),
        )


def _product(path: str, records: dict[str, ArtifactRecord]) -> Product:
    """Upstream artifacts and doubt marks of a table or figure."""
    upstream = sorted(_upstream(path, records))
    return Product(upstream=upstream, marks=list(_marks(upstream, records)))


def _upstream(path: str, records: dict[str, ArtifactRecord]) -> set[str]:
    """The artifact and all upstream artifacts that have a record."""
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if here not in seen and here in records:
            seen.add(here)
            waiting += records[here]["inputs"]
    return seen


def _marks(upstream: Iterable[str], records: dict[str, ArtifactRecord]) -> Iterator[str]:
    """Doubt marks, one sentence each: reasons to doubt the numbers."""
    here = {path: records[path] for path in upstream}
    dirty = sum(bool(record["code"]["modified"]) for record in here.values())
    outside = sum(record["code"]["commit"] is None for record in here.values())
    earlier = sum("job" not in record for record in here.values())
    if earlier:
        yield f"Incomplete record: {_artifacts(earlier)} made by a version that left inputs out."
    if dirty:
        yield f"Dirty checkout: {_artifacts(dirty)} made by code with uncommitted changes."
    if outside:
        yield f"Code unknown: {_artifacts(outside)} made outside a git checkout."
    for stage, versions in sorted(_stage_versions(here.values()).items()):
        if len(versions) > 1:
            yield f"Mixed stage versions: {stage} ran with versions {_list(versions)}."
    for rule, digests in sorted(_rule_code(here.values()).items()):
        if len(digests) > 1:
            yield f"Mixed code: {rule} ran with {len(digests)} versions of its code."
    for name, versions in sorted(_package_versions(here.values()).items()):
        if len(versions) > 1:
            yield f"Mixed packages: {name} {_list(versions)}."
    changed = {
        item
        for record in here.values()
        for item, digest in record["inputs"].items()
        if item in records and records[item]["sha256"] != digest
    }
    if changed:
        yield f"Changed since: {_named(changed)} not what was read."
    unknown = {
        item
        for record in here.values()
        for item in record["inputs"]
        if is_result(item) and item not in records
    }
    if unknown:
        yield f"No record: {_named(unknown)} without one."


def _stage_versions(records: Iterable[ArtifactRecord]) -> dict[str, set[str]]:
    """Versions by stage; a stage is a rule, its part of the run, and the path of the setting."""
    versions: dict[str, set[str]] = defaultdict(set)
    for record in records:
        settings = record["settings"]
        parts = [settings[p] for p in _PARTS if isinstance(settings.get(p), str)]
        for path, version in _versions(settings):
            versions[" ".join([record["rule"], *parts, *path])].add(str(version))
    return versions


def _versions(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in settings.items():
        if key == "version":
            yield path, value
        elif isinstance(value, dict):
            yield from _versions(value, (*path, key))


def _rule_code(records: Iterable[ArtifactRecord]) -> dict[str, set[str]]:
    """Code digests by rule; records of version 0.1.0 have none."""
    digests: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if digest := record.get("code_digest"):
            digests[record["rule"]].add(digest)
    return digests


def _package_versions(records: Iterable[ArtifactRecord]) -> dict[str, set[str]]:
    """Versions by package; packages missing in a job's environment are ignored: it used none."""
    versions: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, version in {"python": record["python"], **record["packages"]}.items():
            if version != "not installed":
                versions[name].add(version)
    return versions


def _artifacts(count: int) -> str:
    return f"{count} artifact was" if count == 1 else f"{count:,} artifacts were"


def _named(paths: Iterable[str]) -> str:
    """Name of a single file; of several files, the first name and the number of others."""
    first, *others = sorted(paths)
    return f"{first} and {len(others)} more files are" if others else f"{first} is"


def _list(versions: Iterable[str]) -> str:
    return " and ".join(sorted(versions))


def _ledger_file(path: str) -> LineageLedger | None:
    """File, size and SHA-256 of a ledger, plain or packed; None if it was moved away."""
    for file in (Path(path), packed_path(Path(path))):
        if file.is_file():
            size = file.stat().st_size
            return LineageLedger(file=str(file), bytes=size, sha256=sha256_file(file))
    return None
