"""Settings of the human evaluation (sections 3.3.3 and 4.2, Appendix C)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Name, Settings, Version


class Judge(Settings):
    """A teacher model that rates by the same protocol; marked as such wherever it is shown."""

    max_tokens: Annotated[int, Field(gt=0)] = 8
    extra_body: dict[str, object] = {}
    """Further fields of the judge's requests, such as a grammar."""
    version: Version = 1


class Study(Settings):
    """One rating study."""

    kind: Literal["models", "dataset"]
    """`models`: answers of several models (Figure 6); `dataset`: its text (Figure 4)."""
    models: list[Name] = []
    """For `models`: whose answers are rated."""
    mixture: Name = "d_all"
    """For `dataset`: the mixture that is sampled."""
    samples_per_source: Annotated[int, Field(gt=0)] = 20
    """For `dataset`: rated examples of each subset."""
    max_per_app: Annotated[int, Field(gt=0)] = 2
    """For `models`: instructions kept of one app."""
    instructions: Annotated[int, Field(gt=0)] | None = None
    """For `models`: how many are rated, sampled with the seed; null: all that the rules keep."""
    exclude: list[str] = []
    """For `models`: ids of instructions that the downstream tasks already cover."""
    annotators: Annotated[int, Field(gt=0)] = 8
    ratings: str | None = None
    """Folder of finished rating files; null: `config/ratings/{study}`."""
    judge: Judge | None = None
    """Rate by the teacher as well; null: people only."""
    version: Version = 1

    @model_validator(mode="after")
    def _complete(self) -> "Study":
        if self.kind == "models" and not self.models:
            raise ValueError("kind `models` needs `models`")
        return self


class HumanEvaluation(Settings):
    """All studies."""

    studies: dict[Name, Study] = {}
