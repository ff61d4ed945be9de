"""Parts that the params of several rules contain."""

from typing import Annotated

from pydantic import Field

from lamini.settings.base import Settings

UserFilesDigest = str | None
"""Digest of the user-provided files that a rule reads (`lamini.user_files`); null: all input files
are outputs of rules."""


WeightsDigest = Annotated[str | None, Field(exclude_if=lambda digest: digest is None)]
"""Digest of the files of a user-provided folder or file with a model or tokenizer
(`lamini.workflow.weights`), so that other weights at the same path are noticed; omitted for the hub
and for outputs of rules."""


class Location(Settings):
    """Location of a model or tokenizer."""

    path: str
    """Folder or hub id."""
    revision: str | None = None
    """Commit or tag on the hub."""
    digest: WeightsDigest = None
