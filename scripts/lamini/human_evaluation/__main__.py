"""`make ratings`: progress of the annotators and the mail to them; FILES=... takes files in.

`python -m lamini.human_evaluation a.json b.json` checks the files and copies them into the folders
of their studies. Without files it only shows the progress.
"""

import argparse
import sys
from pathlib import Path

from lamini.command import add_config_arguments, read_config, run_command
from lamini.human_evaluation.organise import RatingFiles, add_rating_files
from lamini.workflow import Workflow


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.human_evaluation", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="rating files of annotators")
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _show(parsed))


def _show(parsed: argparse.Namespace) -> None:
    flow = Workflow(read_config(parsed.configfile, parsed.config))
    studies = {
        name: RatingFiles(flow.rating_params(name), Path(flow.rating_folder(name)))
        for name in flow.peoples_studies
    }
    for line in add_rating_files(studies, parsed.files):
        print(line)
    print(*(study.text() for study in studies.values()), sep="\n\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
