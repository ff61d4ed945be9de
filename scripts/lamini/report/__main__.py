"""Command line: compare two finished runs (`make compare`)."""

import argparse
import sys
from pathlib import Path

from lamini.command import run_command
from lamini.report.compare import write_comparison


def main(arguments: list[str] | None = None) -> int:
    """Write the page; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lamini.report", description=__doc__)
    parser.add_argument("first", type=Path, help="results folder of run A")
    parser.add_argument("second", type=Path, help="results folder of run B")
    parser.add_argument("--page", type=Path, default=Path("compare.html"), help="page to write")
    parsed = parser.parse_args(arguments)

    def compare() -> None:
        write_comparison(parsed.first, parsed.second, parsed.page)
        print(f"The comparison: {parsed.page.absolute()}")

    return run_command(compare)


if __name__ == "__main__":
    sys.exit(main())
