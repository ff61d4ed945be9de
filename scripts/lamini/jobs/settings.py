"""Settings of a job's result, among the params of its rule."""

import json
from collections.abc import Mapping
from typing import Any

_LABELS = {"train_model": {"name", "family"}}
"""Settings that version 0.1.0 recorded and that no result depends on, by rule."""


def recorded_settings(params: Any) -> dict[str, Any]:
    """Settings that a result depends on: `settings` if the rule has it, else all except `code`.

    Args:
        params: Snakemake's params of a job. A rule with a shell command has its settings as JSON.
    """
    named = {key: value for key, value in params.items() if key != "code"}
    settings = named.get("settings", named)
    recorded: dict[str, Any] = json.loads(settings) if isinstance(settings, str) else settings
    return recorded


def comparable_settings(rule: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Recorded settings without labels of version 0.1.0.

    Args:
        rule: name of the rule's family.
        settings: the settings in a record.
    """
    labels = _LABELS.get(rule, set())
    return {key: value for key, value in settings.items() if key not in labels}
