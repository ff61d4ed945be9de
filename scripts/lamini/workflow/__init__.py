"""Wildcard values, inputs, params and resources of the rules, derived from the configuration.

The Snakefile imports this module in every job, so it must load fast. Rules contain no logic: the
`params` built here are exactly the settings that a rule's result depends on, in a fixed order. A
change of a setting therefore recomputes only the results that depend on it.
"""

from collections.abc import Mapping
from typing import Self

from lamini.errors import SettingsError
from lamini.workflow.checks import check_files
from lamini.workflow.names import one_of
from lamini.workflow.resources import Resources, growing

__all__ = ["Workflow", "growing", "one_of"]


class Workflow(Resources):
    """Interface of the rules to the configuration."""

    @classmethod
    def from_snakemake(cls, config: Mapping[str, object], check: bool) -> Self:
        """Construct the workflow; with `check` (not in a job's process), check the files that the
        configuration names, and print what takes no part in the run.

        Raises:
            WorkflowError: if the configuration is invalid; Snakemake then ends with the message,
                without a traceback.
        """
        from snakemake.exceptions import WorkflowError
        from snakemake.logging import logger

        notes: list[str] = []
        try:
            flow = cls(config)
            if check:
                notes = [*flow.left_out, *check_files(flow)]
        except SettingsError as error:
            raise WorkflowError(str(error)) from None
        for note in notes:
            logger.warning(f"Not in this run: {note}")
        return flow
