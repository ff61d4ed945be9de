"""`make dataset-shards`: write a merged dataset as Parquet shards, for another engine.

`python -m lamini.dataset --folder shards --rows 100000`; docs/dataset.md has the way back.
"""

import argparse
import sys
from pathlib import Path

from lamini.command import add_config_arguments, read_config, run_command
from lamini.paths import DATASET, DATASET_MANIFEST


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.dataset", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="new folder of the shards")
    parser.add_argument("--rows", type=int, default=100_000, help="rows per shard")
    parser.add_argument("--mixture", help="mixture to write; default: the analysed one")
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _write(parsed))


def _write(parsed: argparse.Namespace) -> None:
    from lamini.dataset.shards import write_shards
    from lamini.workflow import Workflow

    mixture = parsed.mixture
    if mixture is None:
        mixture = Workflow(read_config(parsed.configfile, parsed.config)).analysed_mixture
    paths = write_shards(
        manifest=DATASET_MANIFEST.format(mixture=mixture),
        dataset=DATASET.format(mixture=mixture),
        folder=parsed.folder,
        rows=parsed.rows,
    )
    print(f"{len(paths)} shards: {parsed.folder / '*.parquet'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
