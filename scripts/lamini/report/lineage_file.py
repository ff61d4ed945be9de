"""The lineage as a file: artifacts, the values that they share, and the tables and figures."""

from typing import Any

from pydantic import BaseModel

from lamini.json_file import JsonFile


class _LineagePart(BaseModel, extra="forbid", frozen=True, use_attribute_docstrings=True):
    """Part of the lineage."""


class Artifact(_LineagePart):
    """What is known about one artifact."""

    rule: str
    sha256: str
    seed: int | None
    inputs: dict[str, str]
    """SHA-256 of each input file, as the job read it, by path."""
    ledger: str | None
    """Path of the ledger of paid answers that it was made from."""
    job: str | None
    """Path of the job's record; version 0.1.0 wrote none."""
    settings: int
    """Index in `Lineage.settings`."""
    code: int
    """Index in `Lineage.code`."""
    packages: int
    """Index in `Lineage.packages`."""


class CodeVersion(_LineagePart):
    """Git commit that a job ran; all None outside a git checkout."""

    commit: str | None
    date: str | None = None
    """Records of version 0.1.0 have none."""
    modified: bool | None


class LineageLedger(_LineagePart):
    """A ledger, plain or packed."""

    file: str
    bytes: int
    sha256: str


class Product(_LineagePart):
    """A table or figure."""

    upstream: list[str]
    """Paths of the artifacts that it was made from, and its own, sorted."""
    marks: list[str]
    """Doubt marks, one sentence each."""


class Lineage(JsonFile):
    """Lineage of all tables and figures of a run."""

    artifacts: dict[str, Artifact]
    """By path."""
    rules: list[str]
    """In pipeline order."""
    settings: list[dict[str, Any]]
    """Distinct settings."""
    code: list[CodeVersion]
    """Distinct versions of the code."""
    packages: list[dict[str, str]]
    """Distinct sets of package versions by package, with Python's."""
    ledgers: dict[str, LineageLedger | None]
    """By path of the plain ledger; None if it was moved away."""
    products: dict[str, Product]
    """By path of the table's JSON or the figure's PNG."""

    @property
    def marked(self) -> int:
        """Number of tables and figures with a doubt mark."""
        return sum(bool(product.marks) for product in self.products.values())

    def upstream_of(self, path: str) -> dict[str, Artifact]:
        """The artifacts that a table or figure was made from, and its own, by path."""
        return {item: self.artifacts[item] for item in self.products[path].upstream}
