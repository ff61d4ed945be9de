"""Base class of all settings models: immutable, unknown keys are errors."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""Key in lower case, valid as a file name and a wildcard. A description here would replace those of
the fields."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Version = Annotated[
    int,
    Field(ge=1, description="version of the stage; increase it to recompute the stage"),
]


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """Question for the end of a message, with the nearest names; empty if none is near."""
    near = difflib.get_close_matches(wrong, sorted(names), n=2)
    return f"; did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""


class Settings(BaseModel):
    """A section of the settings. Unknown keys are errors; validated values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def as_params(self) -> dict[str, Any]:
        """JSON-ready values in declaration order, used as a rule's `params`."""
        return self.model_dump(mode="json")

    def _check_exactly_one(self, *names: str) -> Self:
        """Refuse fewer or more than one value among the fields `names`."""
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            wanted = ", ".join(names)
            raise ValueError(f"set exactly one of {wanted}; found {', '.join(given) or 'none'}")
        return self
