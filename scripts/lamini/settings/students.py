"""Settings of the models: tokenizers, weights, recipes, students and references (Table 3)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version

Architecture = Literal["encoder-decoder", "decoder-only"]
PAPER_FAMILIES = ("T5", "Flan-T5", "GPT-Neo", "Cerebras-GPT", "GPT-2", "LLaMA")
"""Families of the models that the paper evaluates."""


class HubModel(Settings):
    """A model or tokenizer on the Hugging Face hub."""

    repo: str
    revision: str
    """Commit or tag; pinned."""


class TrainedTokenizer(Settings):
    """A tokenizer trained on a mixture's text: T5's unigram form or GPT-2's byte-level BPE."""

    kind: Literal["t5", "gpt2"]
    mixture: Name = "d_all"
    vocabulary: Annotated[int, Field(gt=300)]
    """Entries, special ones included."""
    version: Version = 1


class Tokenizer(Settings):
    """A tokenizer and the prompt format that its models are trained and asked with."""

    hub: HubModel | None = None
    folder: str | None = None
    train: TrainedTokenizer | None = None
    model: Name | None = None
    """The tokenizer of a model that the pipeline builds."""
    prompt_format: Literal["alpaca", "bare"]
    """`alpaca`: Alpaca's wrapper (decoder-only models); `bare`: the instruction alone."""
    pad_token: str | None = None
    """Padding token added when the tokenizer has none (`[PAD]` for GPT-2, as Alpaca does)."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Tokenizer":
        given = [k for k in ("hub", "folder", "train", "model") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of hub, folder, train, model; found {given}")
        return self


class BuiltModel(Settings):
    """Weights that the pipeline makes itself."""

    kind: Literal["random", "gguf"]
    """`random`: initialised from `config`; `gguf`: dequantised from `path`."""
    config: dict[str, Any] = {}
    """For `random`: `model_type` and the fields of its Hugging Face configuration."""
    path: str | None = None
    """For `gguf`: the file; `package:NAME/FILE` is a file inside an installed package."""
    version: Version = 1

    @model_validator(mode="after")
    def _complete(self) -> "BuiltModel":
        if self.kind == "random" and "model_type" not in self.config:
            raise ValueError("kind `random` needs `config.model_type`")
        if self.kind == "gguf" and self.path is None:
            raise ValueError("kind `gguf` needs `path`")
        return self


class Weights(Settings):
    """Where a reference model's weights are."""

    hub: HubModel | None = None
    folder: str | None = None
    build: BuiltModel | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Weights":
        given = [k for k in ("hub", "folder", "build") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of hub, folder, build; found {given}")
        return self


SPEED_AND_SAFETY = frozenset(
    {"tokens_per_micro_batch", "save_minutes", "gradient_checkpointing", "shard_optimizer"}
)
"""Fields of a recipe that decide how fast and how safely a run goes, not what it computes: a
change trains nothing anew, and a stopped run goes on under other ones."""


class Recipe(Settings):
    """How a student is trained (section 4.1)."""

    epochs: Annotated[float, Field(gt=0)] = 5
    batch_pairs: Annotated[int, Field(gt=0)] = 1024
    """Instruction-response pairs per optimiser step, over all devices."""
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["cosine", "linear", "constant"]
    warmup_ratio: Fraction
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    adam_betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    max_prompt_tokens: Annotated[int, Field(gt=0)]
    """Longer prompts: the pair is left out and counted."""
    max_response_tokens: Annotated[int, Field(gt=0)]
    """Longer responses, end token included: the pair is left out and counted."""
    loss_reduction: Literal["token_mean", "micro_batch_mean"] = "token_mean"
    """Mean over the step's supervised tokens, or of each micro-batch's mean (the 2023 practice)."""
    micro_batch_pairs: Annotated[int, Field(gt=0)] = 128
    """For `micro_batch_mean`: pairs in each group; the released checkpoints had 128."""
    tokens_per_micro_batch: Annotated[int, Field(gt=0)] = 8192
    """Padded tokens computed at once on one device; changes speed and memory only."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: bf16 where the GPU has it, fp16 on older ones, fp32 on a CPU."""
    gradient_checkpointing: bool = False
    """Compute activations twice to hold fewer of them; changes speed and memory only."""
    shard_optimizer: bool = False
    """Spread the optimiser's state over the GPUs, for models that do not fit otherwise."""
    held_out_pairs: Annotated[int, Field(ge=0)] = 0
    """Pairs kept out of training, by the seed, to measure a loss on."""
    save_minutes: Annotated[float, Field(gt=0)] = 30.0
    """Minutes between two resumable checkpoints."""
    seed: int = 42
    version: Version = 1

    def result_params(self) -> dict[str, Any]:
        """All that the trained weights depend on."""
        return self.model_dump(mode="json", exclude=set(SPEED_AND_SAFETY))

    def speed_params(self) -> dict[str, Any]:
        """The rest: `SPEED_AND_SAFETY`."""
        return self.model_dump(mode="json", include=set(SPEED_AND_SAFETY))


INHERITED = ("architecture", "family", "parameters", "tokenizer")
"""Fields that a student inherits from its initialization."""


def with_inherited(models: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the fields that students inherit from their initialization.

    Args:
        models: definitions by name, before they are checked.

    Raises:
        ValueError: names each student whose initialization is no reference model.
    """
    filled, problems = dict(models), []
    for name, model in models.items():
        start = model.get("initialization") if isinstance(model, Mapping) else None
        if start is None:
            continue
        origin = models.get(start) if isinstance(start, str) else None
        if not isinstance(origin, Mapping) or origin.get("initialization") is not None:
            problems.append(
                f"models.{name}.initialization: {start!r} is no reference model of `models`"
            )
            continue
        filled[name] = {key: origin[key] for key in INHERITED if key in origin} | dict(model)
    if problems:
        raise ValueError("\n".join(problems))
    return filled


def _without_inherited(schema: dict[str, Any]) -> None:
    """The schema does not require the inherited fields, as students leave them out."""
    schema["required"] = [key for key in schema["required"] if key not in INHERITED]


class Model(Settings):
    """A student, or a reference model that it is compared with.

    A student inherits `architecture`, `family`, `parameters` and `tokenizer` from its
    initialization; it may give another family or tokenizer.
    """

    model_config = ConfigDict(json_schema_extra=_without_inherited)

    name: str
    """As the paper writes it."""
    role: Literal["student", "reference"]
    architecture: Architecture
    family: str
    """T5, Flan-T5, GPT-Neo, Cerebras-GPT, GPT-2, LLaMA ..."""
    parameters: Annotated[int, Field(gt=0)]
    """Number of parameters."""
    tokenizer: Name
    weights: Weights | None = None
    """Of a reference model."""
    initialization: Name | None = None
    """Of a student: the reference model whose weights it starts from."""
    recipe: Name | None = None
    """Of a student: a key of `recipes`."""
    recipe_changes: dict[str, Any] = {}
    """Fields of the recipe that this student changes."""
    mixture: Name = "d_all"
    """Of a student: the data it is trained on."""
    nodes: Annotated[int, Field(gt=0)] = 1
    """Of a student: machines that share its training; changes speed only."""
    gpus: Annotated[int, Field(gt=0)] | None = None
    """Of a student: GPUs of each of them; null: 1, 4 or 8 by the model's size."""
    evaluation_gpus: Annotated[int, Field(gt=0)] = 1
    """GPUs of a job that asks the model; its layers are spread over them when one is too small."""
    wrapped: bool | None = None
    """Ask it in its tokenizer's prompt format; null: decoder-only students are, others are not."""
    protocol: Literal["paper", "modern"] | None = None
    """Prompts that it is evaluated with; null: those of `evaluation.protocol`."""
    published_as: str | None = None
    """Hub id of the released checkpoint, if any."""
    recommended: bool = False
    """Marked with a dagger in Table 3."""

    @model_validator(mode="after")
    def _role_fits(self) -> "Model":
        student = ("initialization", "recipe")
        for key in student:
            if (getattr(self, key) is not None) != (self.role == "student"):
                raise ValueError(
                    f"`{key}` is for students: role is {self.role}, {key} {getattr(self, key)!r}"
                )
        if (self.weights is not None) != (self.role == "reference"):
            raise ValueError(f"`weights` is for reference models; role is {self.role}")
        return self
