"""Settings of the automatic evaluation and of free-text answers (section 4.2, Table 8)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Name, Settings, Version


class TaskData(Settings):
    """Where a task's examples are."""

    repo: str
    """Dataset on the hub, and folder below the local mirror."""
    config: str | None = None
    """Configuration of the dataset; null: its only one (folder `default` in a mirror)."""
    split: str
    revision: str | None = None
    """Commit or tag on the hub."""
    sha256: str | None = None
    """Digest of the rows, as each result records it; null: not checked."""

    @property
    def path(self) -> str:
        """Where a local mirror keeps the examples, below its folder."""
        return f"{self.repo}/{self.config or 'default'}/{self.split}.jsonl"


class Task(Settings):
    """A downstream task: one of the 15, any other of lm-eval's by its name there, or your own."""

    name: str
    """As the paper writes it."""
    category: str
    """Task category of Table 8."""
    metric: Annotated[str, Field(pattern="^[a-z0-9_]+$")]
    """Metric of Table 8, reported times 100; of another task, one of lm-eval's metrics of it that
    has a value for each example (`acc`, `acc_norm`, `f1`, `exact_match` ...)."""
    examples: Annotated[int, Field(gt=0)]
    """Size of the evaluated split (Table 8)."""
    data: TaskData
    include_path: Annotated[str | None, Field(exclude_if=lambda path: path is None)] = None
    """Folder of lm-eval task definitions of your own, one of which has this task's name; relative
    to the root. Null: the definition is lm-eval's."""
    version: Version = 1


class Evaluation(Settings):
    """How the tasks are run."""

    protocol: Literal["auto", "paper", "modern"] = "auto"
    """`paper`: prompts of the authors' harness of 2023; `modern`: stock prompts of the pinned
    lm-eval. `auto`: `paper` for models of the paper's families (T5, Flan-T5, GPT-Neo, Cerebras-GPT,
    GPT-2, LLaMA), `modern` for any other. `models.{name}.protocol` decides for a single model."""
    mirror: str | None = None
    """Folder with local copies of the tasks' data; null: the hub."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Evaluate only the first examples of each task; null: all."""
    batches: dict[Name, list[Name]] = {}
    """Tasks that one job evaluates together, to load the model once. Others get a job each."""
    tokens_per_batch: Annotated[int, Field(gt=0)] | None = None
    """Padded tokens computed at once, for speed and memory only; null: what suits the device."""
    max_encoder_tokens: Annotated[int, Field(gt=0)] | None = None
    """Longest input of an encoder-decoder model; longer ones are cut from the left. Null: the
    protocol's, 2,048 for `paper`, and for `modern` what lm-eval finds in the model's settings."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: fp32 for the models of `report.acceptance`; for others bf16 where the GPU has it,
    else fp32. Each result says which it was."""
    samples: bool = False
    """Also write what was sent to the model and what came back, one file per task."""
    replicates: Annotated[int, Field(ge=100)] = 2000
    """Resamples behind the interval of each score that is graded, such as F1."""
    version: Version = 2

    @model_validator(mode="after")
    def _disjoint(self) -> "Evaluation":
        seen: dict[str, str] = {}
        for batch, tasks in self.batches.items():
            for task in tasks:
                if task in seen:
                    raise ValueError(f"task {task} is in batches {seen[task]} and {batch}")
                seen[task] = batch
        return self


class Answers(Settings):
    """Free-text answers to the user-oriented instructions."""

    instructions: str
    """JSONL in self-instruct's layout (`user_oriented_instructions.jsonl`)."""
    max_new_tokens: Annotated[int, Field(gt=0)] = 512
    """Longest answer in the model's tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0: greedy, and so deterministic. Above: drawn from all tokens, by the seed."""
    tokens_per_batch: Annotated[int, Field(gt=0)] | None = None
    """Padded tokens of prompts and answers computed at once, for speed and memory only; null: what
    suits the device."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: bf16 where the GPU has it, else fp32."""
    version: Version = 2
