"""Settings of tokenizers, weights, recipes, students and reference models (Table 3)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from lamini.settings.base import Fraction, Name, Settings, Version

_UNITS = {"K": 10**3, "M": 10**6, "B": 10**9}


def _whole_number(value: Any) -> Any:
    """`600M` and `0.6B` as a whole number; other values unchanged.

    Raises:
        ValueError: if a text is no such number.
    """
    if not isinstance(value, str) or value.isdecimal():
        return value
    written = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMB])", value)
    if written is None:
        raise ValueError("write a whole number, or one with K, M or B, such as 600M or 0.6B")
    return round(float(written[1]) * _UNITS[written[2]])


Architecture = Literal["encoder-decoder", "decoder-only"]
PAPER_FAMILIES = ("T5", "Flan-T5", "GPT-Neo", "Cerebras-GPT", "GPT-2", "LLaMA")
"""Families of the models that the paper evaluates."""


class HubModel(Settings):
    """A model or tokenizer on the Hugging Face hub."""

    repo: str
    """Model repository, such as `google/flan-t5-small`."""
    revision: str
    """Commit, tag or branch; only a commit always gives the same files (`make pins`)."""


class TrainedTokenizer(Settings):
    """A tokenizer trained on the text of a mixture."""

    kind: Literal["t5", "gpt2"]
    """`t5`: unigram model as in T5; `gpt2`: byte-level BPE as in GPT-2."""
    mixture: Name = "d_all"
    """Mixture with the text to train on."""
    vocabulary: Annotated[int, Field(gt=300)]
    """Vocabulary size, special tokens included."""
    version: Version = 1


class Chat(Settings):
    """Chat template of `prompt_format: chat`, with what is fixed in it."""

    template: str | None = None
    """Path of a file with the template (Jinja); null: the tokenizer's own."""
    system: str | None = None
    """System message of each prompt; null: none, or the template's own default."""
    options: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")],
        bool | int | float | str | None,
    ] = {}
    """Variables of the template, such as `enable_thinking: false`."""


class Tokenizer(Settings):
    """A tokenizer, and the prompt format for training and evaluation of its models."""

    hub: HubModel | None = None
    """A tokenizer on the hub; exactly one of `hub`, `folder`, `train` and `model` is set."""
    folder: str | None = None
    """Folder with a tokenizer, as `save_pretrained` writes it."""
    train: TrainedTokenizer | None = None
    """Train a new tokenizer."""
    model: Name | None = None
    """Use the tokenizer of this model, which the pipeline builds."""
    prompt_format: Literal["alpaca", "bare", "chat"]
    """`alpaca`: Alpaca's wrapper (decoder-only models); `bare`: the instruction alone; `chat`: a
    chat template (decoder-only models)."""
    chat: Chat | None = None
    """For `prompt_format: chat`; null: the tokenizer's own template as it is."""
    pad_token: str | None = None
    """Padding token to add if the tokenizer has none (`[PAD]` for GPT-2, as in Alpaca)."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Tokenizer":
        return self._check_exactly_one("hub", "folder", "train", "model")

    @model_validator(mode="after")
    def _has_template(self) -> "Tokenizer":
        if self.chat is not None and self.prompt_format != "chat":
            raise ValueError(f"`chat` needs `prompt_format: chat`, not {self.prompt_format}")
        own = self.chat is None or self.chat.template is None
        if self.prompt_format == "chat" and own and self.train is not None:
            raise ValueError(
                "a trained tokenizer has no chat template; set `chat.template` to a file with one"
            )
        return self


class BuiltModel(Settings):
    """Weights that the pipeline builds itself."""

    kind: Literal["random", "gguf"]
    """`random`: random weights of the architecture in `config`; `gguf`: weights dequantized from
    the file `path`."""
    config: dict[str, Any] = {}
    """For `random`: `model_type` and the fields of its Hugging Face configuration."""
    path: str | None = None
    """For `gguf`: path of the file; `package:NAME/FILE` is a file inside an installed package."""
    version: Version = 1

    @model_validator(mode="after")
    def _complete(self) -> "BuiltModel":
        if self.kind == "random" and "model_type" not in self.config:
            raise ValueError("kind `random` needs `config.model_type`")
        if self.kind == "gguf" and self.path is None:
            raise ValueError("kind `gguf` needs `path`")
        return self


class Weights(Settings):
    """Origin of a reference model's weights: hub, folder, or built by the pipeline."""

    hub: HubModel | None = None
    """A model on the hub; exactly one of `hub`, `folder` and `build` is set."""
    folder: str | None = None
    """Folder with a model, as `save_pretrained` writes it."""
    build: BuiltModel | None = None
    """Weights that the pipeline builds."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Weights":
        return self._check_exactly_one("hub", "folder", "build")


SPEED_AND_SAFETY = frozenset(
    {
        "tokens_per_micro_batch",
        "save_minutes",
        "gradient_checkpointing",
        "shard_optimizer",
        "compile",
    }
)
"""Fields of a recipe that affect speed, memory and checkpointing, but not the trained weights. A
change does not retrain a model; a stopped run resumes with the new values."""


class Lora(Settings):
    """A low-rank adapter, trained in place of the weights (https://arxiv.org/abs/2106.09685)."""

    rank: Annotated[int, Field(gt=0)] = 16
    """Rank of each update of a weight matrix."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """Factor of the updates is alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the adapter's inputs, in addition to that of the model."""
    target_modules: Literal["auto"] | Annotated[list[str], Field(min_length=1)] = "auto"
    """Names, or ends of names, of the modules with an adapter; `auto`: all linear layers except the
    output head."""
    export: Literal["merged", "adapter"] = "merged"
    """`merged`: a whole model, as without an adapter; `adapter`: the adapter alone, for `peft`,
    which needs the initial weights too."""


class Recipe(Settings):
    """Training hyperparameters of a student (section 4.1)."""

    epochs: Annotated[float, Field(gt=0)] = 5
    """Number of passes over the training pairs."""
    batch_pairs: Annotated[int, Field(gt=0)] = 1024
    """Instruction-response pairs per optimizer step, over all devices."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Maximum learning rate."""
    schedule: Literal["cosine", "linear", "constant"]
    """Course of the learning rate after the warm-up; `cosine` and `linear` end at 0."""
    warmup_ratio: Fraction
    """Share of the steps in which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""
    adam_betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of the first and second moment of AdamW."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Epsilon of AdamW."""
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients with a larger norm are scaled down to it."""
    max_prompt_tokens: Annotated[int, Field(gt=0)]
    """Maximum prompt length; pairs with longer prompts are left out and counted."""
    max_response_tokens: Annotated[int, Field(gt=0)]
    """Maximum response length, end token included; pairs with longer responses are left out and
    counted."""
    loss_reduction: Literal["token_mean", "micro_batch_mean"] = "token_mean"
    """`token_mean`: mean over all supervised tokens of the step; `micro_batch_mean`: mean of the
    micro-batches' means (common practice in 2023)."""
    micro_batch_pairs: Annotated[int, Field(gt=0)] = 128
    """For `micro_batch_mean`: pairs per micro-batch; 128 for the released checkpoints."""
    tokens_per_micro_batch: Literal["auto"] | Annotated[int, Field(gt=0)] = "auto"
    """Tokens per forward pass on one device, padding included; changes speed and memory only.
    `auto`: on a GPU as many as its memory holds, on a CPU 8,192."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: bf16 if the GPU supports it, fp16 on older GPUs, fp32 on a CPU."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory; changes speed and memory only."""
    shard_optimizer: bool = False
    """Shard the optimizer state over the GPUs, for models that otherwise do not fit."""
    compile: Annotated[bool, Field(exclude_if=lambda compiled: not compiled)] = False
    """Compile the transformer blocks (`torch.compile`), which needs a C++ compiler and minutes at
    the start; changes speed only."""
    held_out_pairs: Annotated[int, Field(ge=0)] = 0
    """Number of pairs held out of training, chosen with the seed, to compute a validation loss."""
    keep: Annotated[Literal["last", "best"], Field(exclude_if=lambda keep: keep == "last")] = "last"
    """Weights to export: of the last step, or of the epoch with the lowest held-out loss."""
    patience: Annotated[
        Annotated[int, Field(gt=0)] | None, Field(exclude_if=lambda patience: patience is None)
    ] = None
    """Stop after this number of held-out losses in a row, one per epoch, that are not below the
    lowest one before; null: no early stop."""
    lora: Annotated[Lora | None, Field(exclude_if=lambda lora: lora is None)] = None
    """Train a low-rank adapter in place of the weights, which needs a fifth of the memory; null:
    train all weights."""
    save_minutes: Annotated[float, Field(gt=0)] = 30.0
    """Minutes between two resumable checkpoints."""
    samples: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | None,
        Field(exclude_if=lambda share: share is None),
    ] = None
    """Share of the training pairs of each source to train on, drawn with the seed; a smaller share
    is part of a larger one. null: all pairs."""
    seed: int = 42
    """Seed of the order of pairs, the held-out pairs, the pairs of `samples`, dropout and the
    initial adapter."""
    held_out_seed: Annotated[int | None, Field(exclude_if=lambda seed: seed is None)] = None
    """Seed of the held-out pairs; null: `seed`."""
    version: Version = 1

    @model_validator(mode="after")
    def _has_held_out_pairs(self) -> "Recipe":
        needing = {"keep: best": self.keep == "best", "patience": self.patience is not None}
        for setting, used in needing.items():
            if used and self.held_out_pairs == 0:
                raise ValueError(f"`{setting}` needs held-out pairs; set `held_out_pairs`")
        return self

    def result_params(self) -> dict[str, Any]:
        """Fields that the trained weights depend on."""
        return self.model_dump(mode="json", exclude=set(SPEED_AND_SAFETY))

    def speed_params(self) -> dict[str, Any]:
        """Fields of `SPEED_AND_SAFETY`."""
        return self.model_dump(mode="json", include=set(SPEED_AND_SAFETY))


INHERITED = ("architecture", "family", "parameters", "tokenizer")
"""Fields that a student inherits from its initialization."""


def with_inherited(models: Mapping[str, object]) -> dict[str, Any]:
    """Fill in the fields that students inherit from their initialization.

    Args:
        models: definitions by name, before validation.

    Raises:
        ValueError: names each student whose initialization is not a reference model.
    """
    filled, problems = dict(models), []
    for name, model in models.items():
        if not isinstance(model, Mapping):
            continue
        initialization = model.get("initialization")
        if initialization is None:
            continue
        reference = models.get(initialization) if isinstance(initialization, str) else None
        if not isinstance(reference, Mapping) or reference.get("initialization") is not None:
            problems.append(
                f"models.{name}.initialization: {initialization!r} is no reference model of"
                " `models`"
            )
            continue
        inherited = {key: reference[key] for key in INHERITED if key in reference}
        filled[name] = inherited | dict(model)
    if problems:
        raise ValueError("\n".join(problems))
    return filled


def _without_inherited(schema: JsonDict) -> None:
    """Make the inherited fields optional in the schema, because students omit them."""
    required = schema["required"]
    assert isinstance(required, list)
    schema["required"] = [key for key in required if key not in INHERITED]


class Model(Settings):
    """A student, which is trained, or a reference model, which is evaluated only.

    A student inherits `architecture`, `family`, `parameters` and `tokenizer` from its
    initialization; it may override `family` and `tokenizer`.
    """

    model_config = ConfigDict(json_schema_extra=_without_inherited)

    name: str
    """Display name, as in the paper."""
    role: Literal["student", "reference"]
    """`student`: trained and evaluated; `reference`: evaluated only."""
    architecture: Architecture
    """Architecture; a student inherits it."""
    family: str
    """Model family: T5, Flan-T5, GPT-Neo, Cerebras-GPT, GPT-2, LLaMA ..."""
    parameters: Annotated[
        int, Field(gt=0), BeforeValidator(_whole_number, json_schema_input_type=int | str)
    ]
    """Number of parameters; also `600M` or `0.6B`, as model cards write it."""
    tokenizer: Name
    """Key in `tokenizers`; a student inherits it."""
    weights: Weights | None = None
    """Reference models: origin of the weights."""
    initialization: Name | None = None
    """Students: the reference model whose weights training starts from."""
    recipe: Name | None = None
    """Students: a key in `recipes`."""
    recipe_changes: dict[str, Any] = {}
    """Students: fields of the recipe that this student overrides."""
    mixture: Name = "d_all"
    """Students: the mixture to train on."""
    nodes: Annotated[int, Field(gt=0)] = 1
    """Students: number of nodes for training; changes speed only."""
    gpus: Annotated[int, Field(gt=0)] | None = None
    """Students: GPUs per node for training; null: 1, 4 or 8, depending on the model's size."""
    evaluation_gpus: Annotated[int, Field(gt=0)] = 1
    """GPUs of an evaluation or answer job; the model's layers are distributed over them if one GPU
    is too small."""
    wrapped: bool | None = None
    """Use the tokenizer's prompt format in evaluation and answers; null: true for decoder-only
    students, false for other models."""
    protocol: Literal["paper", "modern"] | None = None
    """Evaluation protocol of this model; null: `evaluation.protocol`."""
    published_as: str | None = None
    """Hub id, or folder, of the released checkpoint, if any."""
    published_revision: str | None = None
    """Commit, tag or branch of `published_as`; null: `main`."""
    recommended: bool = False
    """Whether Table 3 marks the model with a dagger."""

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
