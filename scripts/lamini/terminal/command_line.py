"""Check of what `--configfile` and `--config` name, before Snakemake reads it.

The arguments may also be in a profile. Snakemake's message about a damaged file has neither name
nor line, and others are tracebacks.
"""

import contextlib
import io
import re
from collections.abc import Sequence

from lamini.command import read_yaml
from lamini.errors import LaminiError

_KEY = re.compile(r"[A-Za-z_][\w-]*\w$")


def check_arguments(arguments: Sequence[str]) -> None:
    """Check the overlays and single settings of a command line and of its profiles.

    Args:
        arguments: those of `snakemake`.

    Raises:
        LaminiError: names the file with line and column, or the setting, and the remedy.
    """
    from snakemake.cli import parse_args

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # Snakemake has named the profiles already
            _, parsed = parse_args(list(arguments))
    except SystemExit:  # Snakemake has a message for a missing value
        return
    for path in parsed.configfile or ():
        read_yaml(path)
    for assignment in parsed.config or ():
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
