"""Calling the builder of a table or figure.

A builder's parameters are `params` and the names of its input files, as for the function of a rule.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from lamini.catalogue.params.common import BuilderParams
from lamini.files import Files


def call_builder(
    builder: Callable[..., Any], inputs: Mapping[str, Files], params: BuilderParams
) -> Any:
    """Result of a builder.

    Args:
        builder: builder of a table or figure, or of an interactive figure.
        inputs: named input files; those that the builder has no parameter for are left out.
        params: its params.
    """
    names = signature(builder).parameters
    return builder(params=params, **{n: files for n, files in inputs.items() if n in names})
