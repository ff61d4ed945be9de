"""Params of the rules of the page: the report, its lineage and its crate."""

from lamini.catalogue.params.common import AnotherTeacher, BuilderParams, ScoredModel


class ReportParams(BuilderParams):
    """Params of rule `write_report`, and of the builders of interactive figures."""

    title: str
    reproduction: bool
    another_teacher: AnotherTeacher
    shown_points: int
    """Maximum number of dots per source in the interactive Figure 3."""
    version: int
    teacher: str | None
    """The teacher's model name; null: the published dataset is used."""
    students: list[str]
    """Display names of the students."""
    student_keys: list[str]
    trained: bool
    references: list[str]
    """Display names of the reference models."""
    tasks: int
    """Number of evaluated tasks."""
    task_keys: dict[str, str]
    """Key of each evaluated task, by display name."""
    model_keys: dict[str, str]
    """Key of each evaluated model, by display name."""
    rated: list[ScoredModel]
    """Models of the first study of models, in its order."""
    samples: bool
    """Whether the requests and outputs of the evaluation were written."""
    protocol: str
    studies: list[str]
    symbols: dict[str, str]
    panels: list[tuple[str, str]]
    left_out: list[str]
    """Settings with models or sources that take no part in the run, one note each."""


class CrateParams(BuilderParams):
    """Params of rule `write_crate`."""

    title: str
    files: str | None
    """Digest of the source files that the crate describes."""
    version: int


class LineageParams(BuilderParams):
    """Params of rule `collect_lineage`."""

    version: int
