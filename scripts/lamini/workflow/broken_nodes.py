"""Nodes of a SLURM cluster on which jobs end before they begin: no more jobs go there.

A node without the environment or the file system ends each job at once, and so takes the next ones:
it is always free. The executor avoids only nodes that SLURM itself calls failed.
"""

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from lamini import slurm
from lamini.errors import LaminiError

AVOIDED = "LAMINI_AVOIDED_NODES"
"""Environment variable with their names, separated by commas, which scripts/slurm/sbatch reads."""
_FAILURES = 2
_BEGUN = re.compile(r"^(?:host: |Building DAG of jobs)", re.MULTILINE)
"""The first lines that Snakemake writes in a job."""


def avoid_broken_nodes(workflow: Any) -> None:
    """From now on, watch the failed jobs of this run."""
    from snakemake.logging import logger

    if workflow.is_main_process and slurm.is_here():
        logger.addHandler(BrokenNodes(logger.warning))


class BrokenNodes(logging.Handler):
    """Counts, by node, the SLURM jobs that failed before Snakemake began in them.

    Args:
        report: receives one sentence for each node that is avoided.
        node_of: node of a SLURM job; may raise `LaminiError`.
    """

    def __init__(
        self, report: Callable[[str], None], node_of: Callable[[str], str] = slurm.node_of
    ) -> None:
        super().__init__()
        self._report, self._node_of = report, node_of
        self._failures: dict[str, int] = {}

    def emit(self, record: Any) -> None:
        """Look at a record of Snakemake's log; only a failed SLURM job counts."""
        if getattr(record, "event", None) != LogEvent.JOB_ERROR:
            return
        number = record.aux.get("external_jobid")
        if number is None or any(_begun(Path(log)) for log in record.log):
            return
        try:
            node = self._node_of(str(number))
        except LaminiError:  # SLURM has forgotten the job; nothing is known then
            return
        self._failures[node] = self._failures.get(node, 0) + 1
        if node and self._failures[node] == _FAILURES:
            avoided = list(filter(None, os.environ.get(AVOIDED, "").split(",")))
            os.environ[AVOIDED] = ",".join([*avoided, node])
            self._report(
                f"Node {node} gets no more jobs of this run: {_FAILURES} of them ended there before"
                " they began; the logs above say why."
            )


def _begun(log: Path) -> bool:
    """Whether a log is of a job in which Snakemake began."""
    try:
        return _BEGUN.search(log.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False
