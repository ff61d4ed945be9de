"""Settings of the human evaluation (sections 3.3.3 and 4.2, Appendix C)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version


class Judge(Settings):
    """A teacher model that rates by the same protocol; marked as such wherever it is shown."""

    max_tokens: Annotated[int, Field(gt=0)] = 8
    """Longest verdict, in the judge's tokens; one letter is asked for."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_characters: Annotated[int, Field(gt=100)] | None = None
    """Longest instruction or text that is shown to the judge; what is cut off is marked and
    counted. Null: no limit."""
    extra_body: dict[str, object] = {}
    """Further fields of the judge's requests, such as a grammar."""
    version: Version = 1


class Study(Settings):
    """One rating study."""

    kind: Literal["models", "dataset"]
    """`models`: answers of several models (Figure 6); `dataset`: its text (Figure 4)."""
    models: list[Name] = []
    """For `models`: whose answers are rated."""
    mixture: Name | None = None
    """For `dataset`: the mixture that is sampled; null: the analysed one."""
    samples_per_source: Annotated[int, Field(gt=0)] = 20
    """For `dataset`: rated examples of each subset."""
    max_per_app: Annotated[int, Field(gt=0)] = 2
    """For `models`: instructions kept of one app."""
    instructions: Annotated[int, Field(gt=0)] | None = None
    """For `models`: how many are rated, sampled with the seed; null: all that the rules keep."""
    exclude: str | None = None
    """For `models`: CSV of reviewed exclusions (`id`, `covered_by`, `reason`): instructions that
    the downstream tasks already cover. They leave after the cap on apps, as in section 4.2."""
    annotators: Annotated[int, Field(gt=0)] = 8
    """People who rate; each gets a page and an equal share of the instructions."""
    rated_twice: Fraction = 0.0
    """Share of the instructions that a second annotator rates too, for agreement."""
    ratings: str | None = None
    """Folder of finished rating files; null: `config/ratings/{study}`."""
    judge: Judge | None = None
    """Rate by the teacher as well; null: people only."""
    replicates: Annotated[int, Field(ge=100)] = 1000
    """Resamples of the instructions behind the interval of each share and mean."""
    version: Version = 2

    @model_validator(mode="after")
    def _complete(self) -> "Study":
        if self.kind == "models" and not self.models:
            raise ValueError("kind `models` needs `models`")
        if self.rated_twice and self.annotators < 2:
            raise ValueError("`rated_twice` needs two `annotators` at least")
        return self


class HumanEvaluation(Settings):
    """All studies."""

    studies: dict[Name, Study] = {}


def annotator_names(count: int) -> list[str]:
    """Names of a study's annotators, which are those of their pages."""
    return [f"annotator_{number}" for number in range(1, count + 1)]
