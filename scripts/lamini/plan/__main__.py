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
from lamini.plan.sweeps import sweep_text
from lamini.teacher.money import Spending, find_ledgers, ledger_spending
from lamini.workflow import Workflow
from lamini.workflow.teacher_check import teacher_lines

STAGES = {"human_eval": "verdicts"}
"""Stage in the plan, by folder of results; other stages have the name of their folder."""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.plan", description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _show(Workflow(read_config(parsed.configfile, parsed.config))))


def _show(flow: Workflow) -> None:
    for note in flow.left_out:
        print(f"Not in this run: {note}")
    teacher = flow.config.teacher
    spent: dict[tuple[str, str], Spending] = {}
    for ledger in find_ledgers(RESULTS):
        folder, name, *_ = (*ledger.relative_to(RESULTS).parts, "")
        price = teacher.prices.get(flow.teacher_of(folder, name).model)
        key = STAGES.get(folder, folder), name
        spent[key] = spent.get(key, Spending()) + ledger_spending(ledger, teacher.prices, price)
    plans = planned_requests(flow, RESULTS)
    print(teacher_text(plans, teacher, spent))
    if plans:
        folders = {stage: folder for folder, stage in STAGES.items()}
        wanted = {(folders.get(plan.stage, plan.stage), plan.source): False for plan in plans}
        print(*teacher_lines(flow, wanted), sep="\n")
    print()
    print(students_text(list(planned_students(flow, RESULTS))))
    for name in flow.config.sweeps:
        print()
        print(sweep_text(flow, name, RESULTS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
