"""Check of Snakemake's arguments `--configfile` and `--config`, before Snakemake reads them.

Its own message about a damaged file has neither name nor line, and others are tracebacks.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from lamini.command import read_yaml
from lamini.errors import LaminiError

_KEY = re.compile(r"[A-Za-z_][\w-]*\w$")


def check_arguments(arguments: Sequence[str]) -> None:
    """Check the overlays and single settings of a command line.

    Args:
        arguments: those of `snakemake`; others than `--configfile` and `--config` are ignored.

    Raises:
        LaminiError: names the file with line and column, or the setting, and the remedy.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[], type=Path)
    parser.add_argument("--config", "-C", nargs="*", default=[])
    try:
        parsed, _ = parser.parse_known_args(arguments)
    except SystemExit:  # Snakemake has a message for a missing value
        return
    for path in parsed.configfile:
        read_yaml(path)
    for assignment in parsed.config:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise LaminiError(f"--config {assignment}: write it as KEY=VALUE")
        if not _KEY.match(key):
            raise LaminiError(
                f"--config {assignment}: the key must be the name of a section;"
                f" write {_nested(key, value) if '.' in key else 'KEY=VALUE'}"
            )


def _nested(key: str, value: str) -> str:
    """A setting of a section, such as `teacher.mode`, as Snakemake reads it."""
    section, *inner = key.split(".")
    opened = "".join(f"{{{name}: " for name in inner)
    return f"--config '{section}={opened}{value}{'}' * len(inner)}'"
