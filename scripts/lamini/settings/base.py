"""The base of all settings models: immutable, and closed to unknown keys."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        description="lower-case key, usable as a file name and a wildcard",
    ),
]
Fraction = Annotated[float, Field(ge=0, le=1)]
Version = Annotated[
    int,
    Field(ge=1, description="version of the stage's code; raising it recomputes the stage"),
]


class Settings(BaseModel):
    """A settings section. Unknown keys are errors, values cannot change after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def as_params(self) -> dict[str, Any]:
        """JSON-ready values in declaration order: what rules put into `params`."""
        return self.model_dump(mode="json")
