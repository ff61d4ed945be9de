"""Settings: pydantic models of the configuration, with units, defaults and cross-checks.

`load_settings` turns Snakemake's merged `config` into a validated `Config`. An invalid one
raises a single `SettingsError` that names every wrong key. `python -m lamini.settings` checks
`config/schema.json` and `docs/settings.md` against the models; with `--fix` it writes them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from lamini.errors import SettingsError
from lamini.settings.base import did_you_mean
from lamini.settings.root import Config

__all__ = ["Config", "load_settings"]


def load_settings(config: Mapping[str, object]) -> Config:
    """Validate the whole configuration.

    Args:
        config: the merged mapping of all config files and overlays.

    Raises:
        SettingsError: names each wrong key, the value found and the allowed values.
    """
    try:
        return Config.model_validate(dict(config))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        lines = [f"  {_explain(item)}" for item in errors if item["type"] != "missing"]
        lines += [f"  {line}" for line in _explain_missing(errors, config)]
        raise SettingsError("\n".join(["the configuration is wrong:", *lines])) from None


def _explain_missing(errors: list[Any], config: Mapping[str, object]) -> Iterator[str]:
    """One line per section that lacks keys; a section of a new name is perhaps misspelt."""
    lacking: dict[tuple[Any, ...], list[str]] = {}
    for item in errors:
        if item["type"] == "missing":
            *section, key = item["loc"]
            lacking.setdefault(tuple(section), []).append(str(key))
    for location, keys in lacking.items():
        if len(keys) == 1:
            yield f"{'.'.join(map(str, (*location, *keys)))}: missing"
            continue
        if not location:
            yield f"{', '.join(keys)}: missing"
            continue
        siblings: Any = config
        for part in location[:-1]:
            siblings = siblings[part]
        others = [str(name) for name in siblings if name != location[-1]]
        hint = did_you_mean(str(location[-1]), others) if isinstance(siblings, Mapping) else ""
        yield f"{'.'.join(map(str, location))}: lacks {', '.join(keys)}{hint}"


def _explain(item: Any) -> str:
    """Format a validation error as `key: message (found ...)`."""
    location = [part for part in item["loc"] if part != "[key]"]
    key = ".".join(map(str, location))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"{key}: no such setting{did_you_mean(str(location[-1]), _fields_at(location[:-1]))}"
    if item["type"] in ("model_type", "dict_type"):
        value = "nothing" if item["input"] is None else f"{item['input']!r:.80}"
        return f"{key}: expected settings (`key: value`), found {value}"
    if item["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        message += did_you_mean(str(item["input"]), allowed)
    if item["type"] == "value_error":
        inner = f"{key}." if key else ""  # some messages already start with the full key
        lines = message.splitlines()
        return "\n  ".join(line if line.startswith(inner) else f"{key}: {line}" for line in lines)
    return f"{key}: {message} (found {item['input']!r:.80})"


def _fields_at(location: list[Any]) -> list[str]:
    """Names of the settings that are allowed at a location of the configuration."""
    model: Any = Config
    for part in location:
        if _is_model(model):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
        else:
            arguments = getattr(model, "__args__", ())
            model = arguments[-1] if arguments else None
        if getattr(model, "__origin__", None) is not dict:
            model = next(filter(_is_model, getattr(model, "__args__", ())), model)
    return list(model.model_fields) if _is_model(model) else []


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
