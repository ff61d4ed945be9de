"""The settings reference of the documentation, as Markdown, from the JSON schema."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TypedDict

JsonSchema = TypedDict(
    "JsonSchema",
    {
        "$defs": "dict[str, JsonSchema]",
        "$ref": str,
        "additionalProperties": "JsonSchema | bool",
        "anyOf": "list[JsonSchema]",
        "const": object,
        "default": object,
        "description": str,
        "enum": list[object],
        "exclusiveMaximum": float,
        "exclusiveMinimum": float,
        "items": "JsonSchema",
        "maximum": float,
        "minimum": float,
        "minItems": int,
        "pattern": str,
        "patternProperties": "dict[str, JsonSchema]",
        "prefixItems": "list[JsonSchema]",
        "properties": "dict[str, JsonSchema]",
        "required": list[str],
        "type": str,
    },
    total=False,
)
"""A JSON schema, with the keys that pydantic writes and this page reads."""
Definitions = Mapping[str, JsonSchema]
"""Schemas of all groups of settings, by name."""

_HEAD = """# All settings

This page is generated from the code (`python -m lamini.settings --fix`). An overlay can set each of
these keys; [the configuration's files](../config/README.md) and [own models](own-herd.md) have
examples. A default holds if no file sets the key; `config/*.yaml` set many keys to the paper's
values. A *name* is a key of your own: small letters, digits, `.`, `_` and `-`. `null` is an empty
value. `[]` in a heading stands for each item of a list.
"""
_NAME = r"^[a-z0-9][a-z0-9._-]*$"
_RANGES = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}


def settings_page(schema: JsonSchema) -> str:
    """The reference of all settings.

    Args:
        schema: JSON schema of the whole configuration.

    Returns:
        Markdown: a section per group of settings, in the order of the configuration, with type,
        range, default and meaning of each key. A group that is used in several places has one
        section, which lists them.
    """
    definitions = schema["$defs"]
    sections = list(_sections("", schema, definitions))
    paths: dict[str, list[str]] = {}
    for path, name in sections:
        paths.setdefault(name, []).append(path)
    shortest = {name: min(paths[name], key=lambda path: path.count(".")) for name in paths}
    headings = {name: f"`{path}`" for name, path in shortest.items()}
    parts = [_HEAD, _table(schema, headings, definitions)]
    for path, name in sections:
        if path != shortest[name]:
            continue
        depth = "###" if "." in path.removesuffix(".{name}") else "##"
        parts.append(f"{depth} {headings[name]}\n\n{definitions[name]['description']}\n")
        if others := [f"`{other}`" for other in paths[name] if other != path]:
            parts.append(f"Also: {', '.join(others)}.\n")
        parts.append(_table(definitions[name], headings, definitions))
    return "\n".join(parts)


def _sections(path: str, schema: JsonSchema, definitions: Definitions) -> Iterator[tuple[str, str]]:
    """Path and definition of each group of settings below a schema, depth first."""
    for key, value in schema.get("properties", {}).items():
        for suffix, name in _references(value):
            inner_path = f"{path}.{key}{suffix}".removeprefix(".")
            yield inner_path, name
            yield from _sections(inner_path, definitions[name], definitions)


def _references(value: JsonSchema) -> Iterator[tuple[str, str]]:
    """Groups of settings that a value may be, with the suffix of a list's or mapping's items."""
    if "$ref" in value:
        yield "", value["$ref"].rsplit("/", 1)[1]
    for option in value.get("anyOf", []):
        yield from _references(option)
    inside: dict[str, JsonSchema | bool | None] = {
        "[]": value.get("items"),
        ".{name}": _values(value),
    }
    for suffix, items in inside.items():
        for inner, name in _references(items) if isinstance(items, dict) else ():
            yield suffix + inner, name


def _values(value: JsonSchema) -> JsonSchema | bool | None:
    """Schema of the values of a mapping."""
    return next(
        iter(value.get("patternProperties", {}).values()), value.get("additionalProperties")
    )


def _table(schema: JsonSchema, headings: dict[str, str], definitions: Definitions) -> str:
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for key, value in schema["properties"].items():
        cells = [
            f"`{key}`",
            _type(value, headings),
            _default(value, required=key in schema.get("required", [])),
            _meaning(value, definitions),
        ]
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _type(value: JsonSchema, headings: dict[str, str]) -> str:
    """Type and allowed values."""
    if "$ref" in value:
        heading = headings[value["$ref"].rsplit("/", 1)[1]]
        return f"[{heading}](#{re.sub(r'[^a-z0-9_-]', '', heading.lower())})"
    if "anyOf" in value:
        return " or ".join(_type(option, headings) for option in value["anyOf"])
    if allowed := value.get("enum", [value["const"]] if "const" in value else []):
        return " or ".join(f"`{option}`" for option in allowed)
    if value["type"] == "array":
        return _list_type(value, headings)
    if value["type"] == "object":
        values = _values(value)
        return f"mapping of {_type(values, headings)}" if isinstance(values, dict) else "mapping"
    return _scalar_type(value)


def _list_type(value: JsonSchema, headings: dict[str, str]) -> str:
    if "prefixItems" in value:
        return f"list: {', '.join(_type(item, headings) for item in value['prefixItems'])}"
    least = f", at least {value['minItems']}" if "minItems" in value else ""
    return f"list of {_type(value['items'], headings)}{least}"


def _scalar_type(value: JsonSchema) -> str:
    if value.get("pattern") == _NAME:
        return "name"
    keys: Mapping[str, object] = value
    ranges = ", ".join(text.format(keys[key]) for key, text in _RANGES.items() if key in keys)
    texts = {
        "null": "`null`",
        "boolean": "`true` or `false`",
        "string": f"text like `{value['pattern']}`" if "pattern" in value else "text",
    }
    return texts.get(value["type"], f"{value['type']} {ranges}".strip())


def _default(value: JsonSchema, *, required: bool) -> str:
    if required:
        return "required"
    default = value.get("default")
    if "default" not in value:
        return "inherited"
    if default and any(_references(value)):
        return "its defaults"
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


def _meaning(value: JsonSchema, definitions: Definitions) -> str:
    """Description of a key, or else of the group of settings that it holds."""
    text = value.get("description")
    groups = [definitions[name].get("description") for _, name in _references(value)]
    return " ".join((text or next(iter(groups), None) or "").split())
