"""`make plan`: estimated requests, tokens and dollars; training steps, GPU-hours and memory.

`python -m lamini.plan` plans the paper's run; `--configfile` and `--config` overlay its
configuration as in Snakemake.
"""

import argparse
import sys

from lamini.command import add_config_arguments, read_config, run_command
from lamini.paths import RESULTS
from lamini.plan.requests import planned_requests
from lamini.plan.show import students_text, teacher_text
from lamini.plan.students import planned_students
from lamini.teacher.money import Spending, find_ledgers, ledger_spending
from lamini.workflow import Workflow
from lamini.workflow.teacher_check import teacher_lines


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.plan", description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _show(Workflow(read_config(parsed.configfile, parsed.config))))


def _show(flow: Workflow) -> None:
    teacher = flow.config.teacher
    spent = Spending()
    for ledger in find_ledgers(RESULTS):
        spent += ledger_spending(ledger, teacher.prices, teacher.prices.get(teacher.model))
    plans = planned_requests(flow, RESULTS)
    print(teacher_text(plans, teacher, spent))
    if plans:
        print(*teacher_lines(teacher, must_succeed=False), sep="\n")
    print()
    print(students_text(list(planned_students(flow, RESULTS))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
