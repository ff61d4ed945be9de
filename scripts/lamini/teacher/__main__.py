"""`make ledger-export` and `make ledger-import`: write a run's ledgers to one archive, or read it.

`python -m lamini.teacher export FILE` writes the archive, `python -m lamini.teacher import FILE`
adds its answers to the ledgers of a results folder.
"""

import argparse
import sys
from pathlib import Path

from lamini.command import run_command
from lamini.teacher.archive import export_ledgers, import_ledgers


def main(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.teacher", description=__doc__)
    parser.add_argument("action", choices=("export", "import"))
    parser.add_argument("file", type=Path, help="the archive, for example ledgers.tar.zst")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parsed = parser.parse_args(arguments)
    action = _export if parsed.action == "export" else _import
    return run_command(lambda: action(parsed.file, parsed.results))


def _export(file: Path, results: Path) -> None:
    manifest = export_ledgers(results, file)
    print(
        f"{file}: {manifest['rows']:,} answers of {len(manifest['ledgers']):,} ledgers,"
        f" {file.stat().st_size:,} bytes"
    )


def _import(file: Path, results: Path) -> None:
    counts = import_ledgers(file, results)
    print(
        f"{results}: {counts['added']:,} of {counts['rows']:,} answers added to"
        f" {counts['ledgers']:,} ledgers; the other answers were already there. Now run with"
        " `--config 'teacher={mode: replay}'`; no API key is needed"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
