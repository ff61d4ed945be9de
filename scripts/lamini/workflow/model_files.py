"""Chat template and type of a model, read from its files without loading it."""

import json
from pathlib import Path

from lamini.paths import is_result
from lamini.settings.params.common import Location

_CONFIG, _TEMPLATE = "tokenizer_config.json", "chat_template.jinja"


def lacks_template(location: Location) -> bool:
    """Whether it is certain that a tokenizer has no chat template.

    Files of the hub that are not in its cache yet are downloaded (a few kB). If the hub
    can't be reached, the first job that needs the template reports its absence.

    Args:
        location: folder, hub id, or the folder of a model that the pipeline builds. Built models
            have no chat template: random ones none, and those of GGUF files lose theirs.
    """
    if is_result(location.path):
        return True
    template, config = _file(location, _TEMPLATE), _file(location, _CONFIG)
    if template is not None:
        return False
    if config is None:
        return Path(location.path).is_dir()
    return not json.loads(config.read_bytes()).get("chat_template")


def model_type(location: Location) -> str | None:
    """`model_type` of a model's `config.json`; None if it can't be read now."""
    file = _file(location, "config.json")
    return None if file is None else json.loads(file.read_bytes()).get("model_type")


def _file(location: Location, name: str) -> Path | None:
    """A file of a folder or of the hub; None if it does not exist or can't be read now."""
    if Path(location.path).is_dir():
        file = Path(location.path) / name
        return file if file.is_file() else None
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(location.path, name, revision=location.revision)
    if cached is not None:  # a path, or the sign that the repository has no such file
        return Path(cached) if isinstance(cached, str) else None
    try:
        return Path(hf_hub_download(location.path, name, revision=location.revision))
    except Exception:  # the hub's client raises dozens of types
        return None
