"""Shared by the tests of a manifest's readers: manifests with some counts."""

from typing import Any

from lamini.dataset.manifest import DatasetManifest


def dataset_manifest(sources: dict[str, dict[str, Any]], **changes: Any) -> DatasetManifest:
    """A manifest with some fields.

    Args:
        sources: counts of each source; the others are 0 or empty.
        changes: fields of the manifest.
    """
    none = {"read": 0, "rows": 0, "dropped": {}, "flags": {}, "finish_reasons": {}, "models": {}}
    mixture = changes.get("mixture", "mix")
    settings = {"mixture": mixture, "sources": list(sources), "published": None}
    defaults = {
        "mixture": mixture,
        "sha256": "0" * 64,
        "bytes": 0,
        "rows": sum(counts.get("rows", 0) for counts in sources.values()),
        "schema": {},
        "settings": settings | changes.pop("settings", {}),
        "sources": {source: none | counts for source, counts in sources.items()},
    }
    return DatasetManifest.model_validate(defaults | changes)
