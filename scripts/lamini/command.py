"""Shared code of the command-line tools other than Snakemake (`make plan`, `make status` ...).

The tools read the configuration as the Snakefile does, print to the terminal, and report errors as
a message without a traceback.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lamini.errors import LaminiError, disk_full

CONFIG_FILES = ("config", "sources", "models", "tasks")
"""Names of the configuration files in `config/` that the Snakefile reads."""


def run_command(command: Callable[[], None]) -> int:
    """Run a command; returns the exit code.

    A `LaminiError` and a full disk are printed without a traceback.
    """
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
    except OSError as error:
        full = disk_full(error)
        if full is None:
            raise
        print(f"error: {full}", file=sys.stderr)
        return 1
    finally:
        logger.removeHandler(handler)
    return 0


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments `--configfile` and `--config`, which work as in Snakemake."""
    parser.add_argument(
        "--configfile", nargs="+", default=[], type=Path, help="overlays of the configuration"
    )
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")


def read_config(configfiles: Sequence[Path], assignments: Sequence[str]) -> dict[str, Any]:
    """Merge the files of `config/`, then overlays, then single keys.

    Raises:
        LaminiError: if a file cannot be read, or an assignment has no `=`.
    """
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for path in [*(Path(f"config/{name}.yaml") for name in CONFIG_FILES), *configfiles]:
        update_config(config, read_yaml(path))
    update_config(config, read_assignments(assignments))
    return config


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse single keys of the configuration, written as `KEY=VALUE`; the value is YAML.

    Raises:
        LaminiError: if an assignment has no `=`.
    """
    config: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise LaminiError(f"--config {assignment}: write it as KEY=VALUE")
        config[key] = yaml.safe_load(value)
    return config


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one configuration file.

    Raises:
        LaminiError: if the file is missing, is not valid YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LaminiError(f"{path}: no such file; run this in the project's folder") from None
    except IsADirectoryError:
        raise LaminiError(f"{path}: a folder; name a file of settings") from None
    except yaml.MarkedYAMLError as error:
        raise LaminiError(f"{path}{_problem_of(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LaminiError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(content, dict):
        raise LaminiError(f"{path}: expected a mapping of settings, found {content!r:.80}")
    return content


def _problem_of(error: yaml.MarkedYAMLError) -> str:
    """Line, column and problem of a YAML error, and where the damaged part begins."""
    mark, begin = error.problem_mark, error.context_mark
    position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    within = f" ({error.context} that begins in line {begin.line + 1})" if begin else ""
    return f"{position}: not valid YAML: {error.problem}{within}"
