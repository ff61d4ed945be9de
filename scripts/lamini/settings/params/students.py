"""Params of the rules that make tokenizers and students, and of the fits over them."""

from typing import Annotated, Any

from pydantic import Field

from lamini.settings.base import Settings, Version
from lamini.settings.dataset import Thinking
from lamini.settings.params.common import Location, WeightsDigest
from lamini.settings.students import Architecture, BuiltModel, Recipe, TrainedTokenizer


class TrainTokenizer(Settings):
    """Params of rule `train_tokenizer`."""

    train: TrainedTokenizer
    pad_token: str | None


class BuildModel(Settings):
    """Params of rule `build_model`."""

    architecture: Architecture
    build: BuiltModel
    tokenizer: Location | None
    """For random weights only; a GGUF file contains its tokenizer."""
    digest: WeightsDigest = None
    seed: int


class ChatTemplate(Settings):
    """Chat template of `prompt_format: chat`."""

    template: str | None = None
    """Jinja text; null: the tokenizer's own template."""
    system: str | None = None
    """System message of each prompt; null: none, or the template's own default."""
    options: dict[str, bool | int | float | str | None] = {}
    """Variables of the template."""


OnlyForChat = Annotated[ChatTemplate | None, Field(exclude_if=lambda chat: chat is None)]
"""Chat template, only for `prompt_format: chat`; params of other prompt formats do not have it."""


class TokenizePairs(Settings):
    """Params of rule `tokenize_pairs`."""

    tokenizer: Location
    prompt_format: str
    """Prompt format of the instructions (`lamini.prompt_formats`)."""
    chat: OnlyForChat = None
    pad_token: str | None
    thinking: Annotated[Thinking | None, Field(exclude_if=lambda kind: kind is None)] = None
    """The mixture's; null for `strip`, too, with which no response has thoughts."""


class TrainModel(Settings):
    """Params of rule `train_model`: the training run of one student."""

    model: str
    name: Annotated[str, Field(exclude=True)] = ""
    """Title of the model card. Not one of the params: another name does not retrain a model."""
    architecture: Architecture
    initialization: Location
    tokenizer: Location
    prompt_format: str
    chat: OnlyForChat = None
    pad_token: str | None
    recipe: Recipe

    def as_params(self) -> dict[str, Any]:
        """All fields, except the recipe's fields of speed and safety."""
        return super().as_params() | {"recipe": self.recipe.result_params()}


class SweepPoint(Settings):
    """A student of a sweep (`lamini.settings.sweeps.Point`)."""

    model: str
    """Its name in the configuration."""
    student: str
    mixture: str
    samples: float
    seed: int


class FitSweep(Settings):
    """Params of rule `fit_sweep`."""

    points: list[SweepPoint]
    tasks: list[str]
    """Evaluated tasks; empty: only the held-out loss is fitted."""
    version: Version
