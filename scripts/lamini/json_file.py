"""Base class of the JSON results that one stage writes and other stages read."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lamini.errors import LaminiError
from lamini.files import read_json, write_json


class JsonFile(BaseModel):
    """Content of a JSON file. Keys without a field are ignored: later versions may add some."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            LaminiError: names the file, and the field that is missing or invalid.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "content"
            raise LaminiError(
                f"{path}: {place}: {first['msg']}; the file is damaged or of an earlier version:"
                " delete it and run the same command again"
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Content of the file; optional fields without a value are left out."""
        return self.model_dump(exclude_unset=True)

    def write(self, path: str | Path) -> None:
        """Write the file."""
        write_json(path, self.as_json())
