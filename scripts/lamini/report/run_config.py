"""The resolved configuration of a run: every setting, defaults included."""

from pathlib import Path

import yaml

from lamini.files import atomic_writer


def write_run_config(*, config: str | Path, settings: dict[str, object]) -> None:
    """Write the configuration as YAML.

    Args:
        config: the YAML file to write.
        settings: the complete configuration.
    """
    with atomic_writer(config) as handle:
        handle.write("# The configuration of this run, resolved. Made by `write_run_config`.\n")
        yaml.safe_dump(settings, handle, sort_keys=False, allow_unicode=True, width=100)
