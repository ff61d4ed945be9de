"""`make accept-code`: keep finished results after an edit of code that does not change them."""

import argparse
import sys

from lamini.command import run_command
from lamini.paths import CODE_FILE
from lamini.workflow.rule_code import accept_code


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.workflow", description=__doc__)
    parser.add_argument("rules", nargs="*", help="such as train_model; default: all changed rules")
    return run_command(lambda: _accept(parser.parse_args(arguments).rules))


def _accept(rules: list[str]) -> None:
    accepted = accept_code(rules)
    if accepted:
        print(f"{CODE_FILE}: accepted the code of these rules: {', '.join(accepted)}")
    else:
        print("No code has changed: nothing to accept.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
