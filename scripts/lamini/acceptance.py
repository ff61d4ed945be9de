"""`make acceptance`: compare this machine's scores of public models with the authors' scores.

`python -m lamini.acceptance` reads the scores made by `snakemake acceptance`, prints the scores
that are not accepted, and exits with status 1 if there are any. `--configfile` and `--config`
overlay the configuration as in Snakemake.
"""

import argparse
import sys
from pathlib import Path

from lamini.catalogue import Catalogue
from lamini.catalogue.evaluation import acceptance_params
from lamini.command import add_config_arguments, read_config, run_command
from lamini.errors import LaminiError
from lamini.files import listed
from lamini.tables.acceptance_table import Judgement, judge_scores, summary
from lamini.text_table import text_table
from lamini.workflow import Workflow


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.acceptance", description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(
        lambda: _judge(Catalogue(Workflow(read_config(parsed.configfile, parsed.config))))
    )


def _judge(catalogue: Catalogue) -> None:
    """Print the summary, and the scores that are not accepted.

    Raises:
        LaminiError: if a score is missing or not accepted.
    """
    table = catalogue.tables.get("acceptance")
    if table is None:
        raise LaminiError("report.acceptance: no evaluated model is listed; nothing to compare")
    files = {name: [Path(path) for path in listed(of)] for name, of in table.inputs.items()}
    for path in files["evals"]:
        if not path.is_file():
            raise LaminiError(f"{path}: no such file; run `snakemake acceptance` first")
    judgements = [
        *judge_scores(files["evals"], files["published"][0], acceptance_params(catalogue))
    ]
    others = [j for j in judgements if j.verdict != "accepted"]
    if others:
        header = ("Model", "Task", "Verdict", "Ours", "Authors'", "Changed examples")
        print(text_table(header, [_line(each) for each in others], left=3), end="\n\n")
        raise LaminiError(summary(judgements))
    print(summary(judgements))


def _line(judgement: Judgement) -> tuple[str | None, ...]:
    numbers = (judgement.ours, judgement.theirs, judgement.changed)
    shown = (None if number is None else f"{number:.2f}" for number in numbers)
    return judgement.model, judgement.task, judgement.verdict, *shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
