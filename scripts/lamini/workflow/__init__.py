"""What the rules ask of the configuration: names to expand, inputs, params, resources.

The Snakefile imports this module in every job, so it stays light. Rules hold no logic of their
own: each `params` here is exactly what the rule's result depends on, in a fixed order, so that a
change recomputes only what lies downstream of it.
"""

from collections.abc import Mapping
from typing import Any, Self

from lamini.errors import SettingsError
from lamini.workflow.checks import check_files
from lamini.workflow.names import one_of
from lamini.workflow.params import RuleParams
from lamini.workflow.resources import Resources, growing

__all__ = ["Workflow", "growing", "one_of"]


class Workflow(RuleParams, Resources):
    """The configuration as the rules see it."""

    @classmethod
    def from_snakemake(cls, config: Mapping[str, Any]) -> Self:
        """As the constructor, with the files that the configuration names checked as well.

        Raises:
            WorkflowError: when the configuration is wrong; ends Snakemake with the message alone.
        """
        from snakemake.exceptions import WorkflowError

        try:
            flow = cls(config)
            check_files(flow)
        except SettingsError as error:
            raise WorkflowError(str(error)) from None
        return flow
