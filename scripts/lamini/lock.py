"""Run a command while no other process holds a lock file: `python -m lamini.lock FILE COMMAND...`.

Used by `make demo` in place of the program `flock`, which macOS does not have. The command replaces
this process and inherits the open file. The kernel therefore releases the lock when the command
ends, also after a crash.
"""

import fcntl
import os
import sys
from typing import NoReturn

EXIT_LOCKED = 75
"""Exit status if another process holds the lock (EX_TEMPFAIL of sysexits.h)."""


def main(arguments: list[str]) -> NoReturn:
    """Take the lock and become the command."""
    if len(arguments) < 2:
        sys.exit("usage: python -m lamini.lock FILE COMMAND [ARGUMENT ...]")
    path, *command = arguments
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{path}: another run in this folder holds this lock", file=sys.stderr)
        sys.exit(EXIT_LOCKED)
    os.set_inheritable(descriptor, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
