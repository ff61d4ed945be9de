"""Settings of the human evaluation (sections 3.3.3 and 4.2, Appendix C)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version

RatingProtocol = Literal["paper", "own"]


class Judge(Settings):
    """The teacher model as a judge that rates by the same protocol; its ratings are labelled
    wherever they are shown."""

    max_tokens: Annotated[int, Field(gt=0)] = 8
    """Maximum length of a verdict, in the judge's tokens; the prompt requests one letter."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Sampling temperature; 0: the most likely verdict."""
    max_characters: Annotated[int, Field(gt=100)] | None = None
    """Maximum characters of an instruction or text that is shown to the judge; truncated texts are
    marked and counted. Null: no limit."""
    extra_body: dict[str, object] = {}
    """Additional fields of the judge's requests, such as a grammar."""
    version: Version = 1


class Study(Settings):
    """One rating study."""

    kind: Literal["models", "dataset"]
    """`models`: rates answers of several models (Figure 6); `dataset`: rates pairs of the dataset
    (Figure 4)."""
    models: list[Name] = []
    """For `models`: the models whose answers are rated; those that are neither in `students` nor
    in `references` are left out."""
    mixture: Name | None = None
    """For `dataset`: the mixture that is sampled; null: the analysed mixture."""
    samples_per_source: Annotated[int, Field(gt=0)] = 20
    """For `dataset`: number of rated examples per source."""
    questions: str | None = None
    """For `models`: file of instructions that the models answer for this study alone; null: the
    user-oriented instructions (`answers.instructions`). JSONL in self-instruct's layout, or Parquet
    with the columns `question` and `category`, which is then the app."""
    max_per_app: Annotated[int, Field(gt=0)] = 2
    """For `models`: maximum number of instructions per app."""
    instructions: Annotated[int, Field(gt=0)] | None = None
    """For `models`: number of rated instructions, sampled with the seed; null: all that
    `max_per_app` and `exclude` keep."""
    exclude: str | None = None
    """For `models`: CSV of reviewed exclusions (`id`, `covered_by`, `reason`): instructions that
    the downstream tasks already cover. Applied after `max_per_app`, as in section 4.2."""
    annotators: Annotated[int, Field(ge=0)] = 8
    """Number of human annotators; each gets a page and an equal share of the instructions. 0: the
    judge alone rates, for example the quality of a larger sample of the dataset."""
    rated_twice: Fraction = 0.0
    """Share of the instructions that a second annotator also rates, to measure agreement."""
    ratings: str | None = None
    """Folder of finished rating files; null: `config/ratings/{study}`."""
    judge: Judge | None = None
    """Ratings by the teacher in addition; null: human ratings only."""
    replicates: Annotated[int, Field(ge=100)] = 1000
    """Number of resamples of the instructions for the confidence interval of each share and
    mean."""
    version: Version = 2

    @model_validator(mode="after")
    def _complete(self) -> "Study":
        if self.kind == "models" and not self.models:
            raise ValueError("kind `models` needs `models`")
        if not self.annotators and self.judge is None:
            raise ValueError("without `annotators`, a study needs a `judge`")
        if self.rated_twice and self.annotators < 2:
            raise ValueError("`rated_twice` needs at least two `annotators`")
        return self


class HumanEvaluation(Settings):
    """All studies."""

    protocol: RatingProtocol | None = None
    """Wording of the levels that people and judges rate by: `paper`: criteria and examples of
    Appendix C; `own`: the same levels in this project's words, with house rules. Null: `paper` for
    a reproduction (`report.reproduction`), otherwise `own`."""
    studies: dict[Name, Study] = {}
    """Studies by name; each has its own pages, ratings and figures."""
