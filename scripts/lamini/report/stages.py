"""The report's lineage: artifacts by rule; settings, code and packages are shown once each."""

import json
from typing import Any

from lamini.paths import RESULTS

Facts = dict[str, Any]


def stages(lineage: Facts) -> list[Facts]:
    """Artifacts by the rule that made them, in pipeline order.

    Args:
        lineage: JSON of `collect_lineage`.
    """
    grouped: dict[str, list[Facts]] = {}
    for path, entry in lineage["artifacts"].items():
        grouped.setdefault(entry["rule"], []).append(_artifact(path, entry, lineage))
    return [{"rule": rule, "artifacts": grouped[rule]} for rule in lineage["rules"]]


def _artifact(path: str, entry: Facts, lineage: Facts) -> Facts:
    known = lineage["artifacts"]
    return {
        "path": path,
        "anchor": anchor(path),
        **{key: entry[key] for key in ("sha256", "seed", "settings", "code", "packages")},
        "inputs": [
            {"path": item, "sha256": digest, "anchor": anchor(item) if item in known else None}
            for item, digest in sorted(entry["inputs"].items())
        ],
        "ledger": entry["ledger"]
        and {"path": entry["ledger"]} | (lineage["ledgers"][entry["ledger"]] or {}),
    }


def making(path: str, lineage: Facts) -> Facts:
    """Provenance of one table or figure: its record, and its upstream artifacts by rule.

    Args:
        path: path of its JSON or PNG file.
        lineage: JSON of `collect_lineage`.
    """
    product, artifacts = lineage["products"][path], lineage["artifacts"]
    upstream: dict[str, list[str]] = {}
    for item in product["upstream"]:
        if item != path:
            upstream.setdefault(artifacts[item]["rule"], []).append(item)
    used = [artifacts[item] for item in product["upstream"]]
    return {
        "artifact": _artifact(path, artifacts[path], lineage) if path in artifacts else None,
        "marks": product["marks"],
        "upstream": [
            {"rule": rule, "count": len(upstream[rule])}
            for rule in lineage["rules"]
            if rule in upstream
        ],
        "codes": sorted({entry["code"] for entry in used}),
        "packages": sorted({entry["packages"] for entry in used}),
        "ledgers": [
            {"path": artifacts[item]["ledger"], "anchor": anchor(item)}
            for item in product["upstream"]
            if artifacts[item]["ledger"] and not item.endswith(".report.json")
        ],
    }


def marks(lineage: Facts) -> dict[str, list[str]]:
    """Tables and figures by doubt mark."""
    found: dict[str, list[str]] = {}
    for path, product in lineage["products"].items():
        for mark in product["marks"]:
            found.setdefault(mark, []).append(path)
    return found


def shown_settings(settings: Facts) -> str:
    """Settings as indented JSON, for the page."""
    return json.dumps(settings, indent=1, ensure_ascii=False, sort_keys=True)


def anchor(path: str) -> str:
    """HTML id of an artifact on the page."""
    return "of-" + path.removeprefix(f"{RESULTS}/").replace("/", "-")
