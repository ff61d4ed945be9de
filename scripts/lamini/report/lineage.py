"""The lineage of the tables and figures: every artifact they were made from, and what is doubtful.

The records of `lamini.jobs.provenance` are followed from each table and figure back to the files
that people put there. Settings, code versions and package versions are kept once each.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lamini.files import listed, sha256_file, stable_hash, write_json
from lamini.jobs.provenance import Record, read_record
from lamini.teacher.ledger import packed_path

_PARTS = ("source", "model", "mixture", "study")
"""Settings that say which part of a run a record is of: only like parts share a stage version."""


def collect_lineage(*, inputs: dict[str, Any], lineage: str | Path) -> None:
    """Follow the records of all tables and figures, and write the lineage.

    Args:
        inputs: `tables` (JSON), `figures` (PNG).
        lineage: JSON to write: `artifacts` by path (rule, sha256, inputs with their hashes, place
            of the job's record, number of its settings, code and packages), `rules` in their order,
            `settings`, `code`, `packages`, `ledgers` (bytes, sha256), and `products`: for each
            table and figure its `upstream` artifacts and `marks`.
    """
    products = [str(path) for paths in inputs.values() for path in listed(paths)]
    records = read_records(products)
    kept = Kept()
    artifacts = {path: kept.entry(record) for path, record in sorted(records.items())}
    ledgers = {ledger for record in records.values() if (ledger := _facts(record).get("ledger"))}
    write_json(
        lineage,
        {
            "artifacts": artifacts,
            "rules": _rules(records),
            "settings": kept.settings.values,
            "code": kept.code.values,
            "packages": kept.packages.values,
            "ledgers": {path: _ledger_facts(path) for path in sorted(ledgers)},
            "products": {path: _product(path, records) for path in products},
        },
    )


def read_records(products: Iterable[str]) -> dict[str, Record]:
    """The records of some artifacts and of all that they were made from, by path."""
    records: dict[str, Record] = {}
    waiting = list(products)
    while waiting:
        path = waiting.pop()
        if path in records or not path.startswith("results/"):
            continue
        if record := read_record(path):
            records[path] = record
            waiting += record["inputs"]
    return records


def _rules(records: dict[str, Record]) -> list[str]:
    """The rules in the order in which their artifacts are made, those of one depth by name.

    The depth of an artifact is the longest way back to one that is made from given files alone.
    """
    depths: dict[str, int] = {}

    def depth(path: str) -> int:
        if path not in depths:
            depths[path] = 0  # a loop, which only files changed by hand can make, ends here
            above = [depth(item) for item in records[path]["inputs"] if item in records]
            depths[path] = max(above, default=-1) + 1
        return depths[path]

    deepest: dict[str, int] = {}
    for path, record in records.items():
        deepest[record["rule"]] = max(depth(path), deepest.get(record["rule"], 0))
    return sorted(deepest, key=lambda rule: (deepest[rule], rule))


@dataclass
class Numbered:
    """Values kept once each, and found again by their number."""

    values: list[Any] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, value: Any) -> int:
        """The number of a value; a new one when it was not seen before."""
        key = stable_hash(value)
        if key not in self.numbers:
            self.numbers[key] = len(self.values)
            self.values.append(value)
        return self.numbers[key]


@dataclass
class Kept:
    """What many records share."""

    settings: Numbered = field(default_factory=Numbered)
    code: Numbered = field(default_factory=Numbered)
    packages: Numbered = field(default_factory=Numbered)

    def entry(self, record: Record) -> dict[str, Any]:
        """One artifact, what it shares given by number."""
        packages = {"python": record["python"], **record["packages"]}
        return {
            "rule": record["rule"],
            "sha256": record["sha256"],
            "seed": record["seed"],
            "inputs": record["inputs"],
            "ledger": _facts(record).get("ledger"),
            "job": record.get("job"),
            "settings": self.settings.number(record["settings"]),
            "code": self.code.number(record["code"]),
            "packages": self.packages.number(packages),
        }


def _product(path: str, records: dict[str, Record]) -> dict[str, Any]:
    """Everything upstream of a table or figure, and what is doubtful about it."""
    upstream = sorted(_upstream(path, records))
    return {"upstream": upstream, "marks": list(_marks(upstream, records))}


def _upstream(path: str, records: dict[str, Record]) -> set[str]:
    """The artifact itself and all recorded ones that it was made from."""
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if here not in seen and here in records:
            seen.add(here)
            waiting += records[here]["inputs"]
    return seen


def _marks(upstream: Iterable[str], records: dict[str, Record]) -> Iterator[str]:
    """What a reader must know before trusting the numbers, one sentence each."""
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
        if item.startswith("results/") and item not in records
    }
    if unknown:
        yield f"No record: {_named(unknown)} without one."


def _stage_versions(records: Iterable[Record]) -> dict[str, set[str]]:
    """Versions by stage: a rule, the part that it worked on, and the setting's place."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        settings = record["settings"]
        parts = [settings[p] for p in _PARTS if isinstance(settings.get(p), str)]
        for place, version in _versions(settings):
            found[" ".join([record["rule"], *parts, *place])].add(str(version))
    return found


def _versions(settings: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in settings.items():
        if key == "version":
            yield place, value
        elif isinstance(value, dict):
            yield from _versions(value, (*place, key))


def _rule_code(records: Iterable[Record]) -> dict[str, set[str]]:
    """Digests of the code by rule; records of earlier versions have none."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if digest := record.get("code_digest"):
            found[record["rule"]].add(digest)
    return found


def _package_versions(records: Iterable[Record]) -> dict[str, set[str]]:
    """Versions by package; one that a job's environment lacks can't have made a difference."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, version in {"python": record["python"], **record["packages"]}.items():
            if version != "not installed":
                found[name].add(version)
    return found


def _artifacts(count: int) -> str:
    return f"{count} artifact was" if count == 1 else f"{count:,} artifacts were"


def _named(paths: Iterable[str]) -> str:
    """One file by its name; more by their number and the first one's name."""
    first, *others = sorted(paths)
    return f"{first} and {len(others)} more files are" if others else f"{first} is"


def _list(versions: Iterable[str]) -> str:
    return " and ".join(sorted(versions))


def _facts(record: Record) -> dict[str, Any]:
    """What else its job recorded; an earlier version called it `extra`."""
    facts: dict[str, Any] = record.get("facts") or record.get("extra") or {}
    return facts


def _ledger_facts(path: str) -> dict[str, Any] | None:
    """File, size and hash of a ledger, plain or packed; none where it has been moved away."""
    for file in (Path(path), packed_path(Path(path))):
        if file.is_file():
            return {"file": str(file), "bytes": file.stat().st_size, "sha256": sha256_file(file)}
    return None
