"""The report's lineage: artifacts by rule; settings, code and packages are shown once each."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lamini.paths import RESULTS
from lamini.report.lineage_file import Artifact, Lineage, LineageLedger


@dataclass(frozen=True)
class InputLink:
    """An input file; `anchor` is the HTML id of its own entry, if it has one."""

    path: str
    sha256: str
    anchor: str | None


@dataclass(frozen=True)
class ShownArtifact:
    """An artifact as the page shows it."""

    path: str
    anchor: str
    entry: Artifact
    """Its entry in the lineage."""
    inputs: list[InputLink]
    ledger: LineageLedger | None
    """None without a ledger, and if it was moved away."""


@dataclass(frozen=True)
class LedgerLink:
    """A ledger, with the HTML id of the artifact that was made from it."""

    path: str
    anchor: str


@dataclass(frozen=True)
class Making:
    """Provenance of one table or figure."""

    artifact: ShownArtifact | None
    marks: list[str]
    upstream: dict[str, int]
    """Number of upstream artifacts by rule, in pipeline order."""
    codes: list[int]
    packages: list[int]
    ledgers: list[LedgerLink]


def stages(lineage: Lineage) -> dict[str, list[ShownArtifact]]:
    """Artifacts by the rule that made them, in pipeline order."""
    grouped: dict[str, list[ShownArtifact]] = {rule: [] for rule in lineage.rules}
    for path, artifact in lineage.artifacts.items():
        grouped[artifact.rule].append(_shown(path, lineage))
    return grouped


def _shown(path: str, lineage: Lineage) -> ShownArtifact:
    entry = lineage.artifacts[path]
    return ShownArtifact(
        path=path,
        anchor=anchor(path),
        entry=entry,
        inputs=[
            InputLink(item, digest, anchor(item) if item in lineage.artifacts else None)
            for item, digest in sorted(entry.inputs.items())
        ],
        ledger=lineage.ledgers[entry.ledger] if entry.ledger else None,
    )


def making(path: str, lineage: Lineage) -> Making:
    """Provenance of one table or figure: its record, and its upstream artifacts by rule.

    Args:
        path: path of its JSON or PNG file.
        lineage: the run's lineage.
    """
    used = lineage.upstream_of(path)
    counts = Counter(artifact.rule for item, artifact in used.items() if item != path)
    return Making(
        artifact=_shown(path, lineage) if path in lineage.artifacts else None,
        marks=lineage.products[path].marks,
        upstream={rule: counts[rule] for rule in lineage.rules if rule in counts},
        codes=sorted({artifact.code for artifact in used.values()}),
        packages=sorted({artifact.packages for artifact in used.values()}),
        ledgers=[
            LedgerLink(artifact.ledger, anchor(item))
            for item, artifact in used.items()
            if artifact.ledger and not item.endswith(".report.json")
        ],
    )


def marks(lineage: Lineage) -> dict[str, list[str]]:
    """Tables and figures by doubt mark."""
    by_mark: dict[str, list[str]] = {}
    for path, product in lineage.products.items():
        for mark in product.marks:
            by_mark.setdefault(mark, []).append(path)
    return by_mark


def settings_names(lineage: Lineage) -> list[str]:
    """Name of each of `Lineage.settings`: the rule, and the artifacts that it made with them."""
    users: list[dict[str, list[str]]] = [{} for _ in lineage.settings]
    for path, artifact in lineage.artifacts.items():
        users[artifact.settings].setdefault(artifact.rule, []).append(path)
    return ["; ".join(_named(rule, made) for rule, made in one.items()) or "–" for one in users]


def _named(rule: str, made: list[str]) -> str:
    more = f" and {len(made) - 1} more" if len(made) > 1 else ""
    return f"{rule}: {made[0].removeprefix(f'{RESULTS}/')}{more}"


def shown_settings(settings: Mapping[str, object]) -> str:
    """Settings as indented JSON, for the page."""
    return json.dumps(settings, indent=1, ensure_ascii=False, sort_keys=True)


def anchor(path: str) -> str:
    """HTML id of an artifact on the page."""
    return "of-" + path.removeprefix(f"{RESULTS}/").replace("/", "-")
