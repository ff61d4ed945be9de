"""Settings: pydantic models of the configuration, with units, defaults and cross-checks.

`load_settings` turns Snakemake's merged `config` into a validated `Config`. An invalid one
raises a single `SettingsError` that names every wrong key. `python -m lamini.settings` checks
`config/schema.json` against the models; with `--fix` it writes the file.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from lamini.errors import SettingsError
from lamini.settings.root import Config

__all__ = ["Config", "load_settings"]


def load_settings(config: Mapping[str, Any]) -> Config:
    """Validate the whole configuration.

    Args:
        config: the merged mapping of all config files and overlays.

    Raises:
        SettingsError: names each wrong key, the value found and the allowed values.
    """
    try:
        return Config.model_validate(dict(config))
    except ValidationError as error:
        lines = [f"  {_explain(item)}" for item in error.errors(include_url=False)]
        raise SettingsError("\n".join(["the configuration is wrong:", *lines])) from None


def _explain(item: Any) -> str:
    """Format a validation error as `key: message (found ...)`."""
    location = [part for part in item["loc"] if part != "[key]"]
    key = ".".join(map(str, location))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), _fields_at(location[:-1]), n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        return f"{key}: no such setting{hint}"
    if item["type"] == "missing":
        return f"{key}: missing"
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
