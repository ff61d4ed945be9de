"""Base classes of the JSON results that one stage writes and other stages read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lamini.errors import LaminiError
from lamini.files import read_json, read_jsonl, write_json, write_jsonl


class _JsonContent(BaseModel):
    """Content of a JSON object. Keys without a field are ignored, as later versions may add some,
    except by a class with `extra="forbid"`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    @classmethod
    def _validated(cls, value: Any, location: str) -> Self:
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "content"
            raise LaminiError(
                f"{location}: {field}: {first['msg']}; the file is damaged or of another version:"
                " delete it and run the same command again"
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Content of the JSON object; optional fields without a value are left out."""
        return self.model_dump(exclude_unset=True)


class JsonFile(_JsonContent):
    """Content of a JSON file."""

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            LaminiError: names the file, and the field that is missing or invalid.
        """
        return cls._validated(read_json(path), str(path))

    def write(self, path: str | Path) -> None:
        """Write the file."""
        write_json(path, self.as_json())


class JsonRow(_JsonContent):
    """One row of a JSONL file."""

    @classmethod
    def read_rows(cls, path: str | Path) -> list[Self]:
        """Read all rows of a file.

        Raises:
            LaminiError: names the file, the row, and the field that is missing or invalid.
        """
        rows = enumerate(read_jsonl(path), start=1)
        return [cls._validated(row, f"{path}: row {number}") for number, row in rows]

    @classmethod
    def write_rows(cls, path: str | Path, rows: Iterable[Self]) -> None:
        """Write a file."""
        write_jsonl(path, (row.as_json() for row in rows))
