"""What the commands that people type beside Snakemake have in common: `make plan`, `make status`.

They read the configuration as the Snakefile does, print to the terminal, and end with a plain
message when something is wrong.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lamini.errors import LaminiError

CONFIG_FILES = ("config", "sources", "models", "tasks")
"""The files that the Snakefile reads, in `config/`."""


def run_command(command: Callable[[], None]) -> int:
    """Run a command; returns the exit code. A `LaminiError` is shown as its message alone."""
    logger = logging.getLogger("lamini")
    logger.setLevel(logging.WARNING)
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    try:
        command()
        sys.stdout.flush()
    except LaminiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `make status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        logger.removeHandler(handler)
    return 0


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that overlay the configuration, as Snakemake's of the same names."""
    parser.add_argument(
        "--configfile", nargs="+", default=[], type=Path, help="overlays of the configuration"
    )
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")


def read_config(configfiles: Sequence[Path], assignments: Sequence[str]) -> dict[str, Any]:
    """The merged configuration: the files of `config/`, then overlays, then single keys.

    Raises:
        LaminiError: when a file cannot be read, or an assignment has no `=`.
    """
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for path in [*(Path(f"config/{name}.yaml") for name in CONFIG_FILES), *configfiles]:
        update_config(config, read_yaml(path))
    update_config(config, read_assignments(assignments))
    return config


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Single keys of the configuration, given as `KEY=VALUE`.

    Raises:
        LaminiError: when one has no `=`.
    """
    config: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise LaminiError(f"--config {assignment}: give it as KEY=VALUE")
        config[key] = yaml.safe_load(value)
    return config


def read_yaml(path: Path) -> dict[str, Any]:
    """One configuration file.

    Raises:
        LaminiError: when it is missing, no YAML, or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LaminiError(f"{path}: no such file; run this in the project's folder") from None
    except yaml.YAMLError as error:
        raise LaminiError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(content, dict):
        raise LaminiError(f"{path}: expected settings by name, found {content!r:.80}")
    return content
