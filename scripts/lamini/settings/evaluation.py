"""Settings of the automatic evaluation and of free-text answers (section 4.2, Table 8)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Name, Settings, Version


class TaskData(Settings):
    """Location of a task's examples."""

    repo: str
    """Dataset on the hub; also the folder in the local mirror."""
    config: str | None = None
    """Configuration of the dataset; null: its only one (folder `default` in a mirror)."""
    split: str
    """Evaluated split of the dataset."""
    revision: str | None = None
    """Commit, tag or branch on the hub; null: the branch `main`."""
    sha256: str | None = None
    """SHA-256 of the rows, as recorded in each result; null: not checked."""


class Task(Settings):
    """A downstream task: one of the paper's 15, another task of lm-eval, or a user-defined task."""

    name: str
    """Display name, as in the paper."""
    category: str
    """Task category of Table 8."""
    metric: Annotated[str, Field(pattern="^[a-z0-9_]+$")]
    """Metric of Table 8, reported times 100. For another task: a metric that lm-eval computes for
    each example of it (`acc`, `acc_norm`, `f1`, `exact_match` ...)."""
    examples: Annotated[int, Field(gt=0)]
    """Number of examples in the evaluated split (Table 8)."""
    data: TaskData
    """Examples of the task."""
    include_path: Annotated[str | None, Field(exclude_if=lambda path: path is None)] = None
    """Folder of user-defined lm-eval tasks, one of which has this task's name; relative to the
    project's root. Null: lm-eval's own definition."""
    version: Version = 1


class Evaluation(Settings):
    """Settings of the automatic evaluation."""

    protocol: Literal["auto", "paper", "modern"] = "auto"
    """`paper`: prompts of the authors' harness of 2023; `modern`: stock prompts of the pinned
    lm-eval. `auto`: `paper` for models of the paper's families (T5, Flan-T5, GPT-Neo, Cerebras-GPT,
    GPT-2, LLaMA), `modern` for all others. `models.{name}.protocol` overrides it for one model."""
    mirror: str | None = None
    """Folder with local copies of the tasks' data; null: the hub."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Evaluate only the first `limit` examples of each task; null: all."""
    batches: dict[Name, list[Name]] = {}
    """Tasks that one job evaluates together, so that the model is loaded once. Each other task gets
    its own job."""
    tokens_per_batch: Annotated[int, Field(gt=0)] | None = None
    """Tokens per batch, padding included; changes speed and memory only. Null: on a GPU measured,
    so that a batch fits its memory."""
    max_encoder_tokens: Annotated[int, Field(gt=0)] | None = None
    """Maximum input length of an encoder-decoder model; longer inputs are truncated on the left.
    Null: 2,048 for protocol `paper`; for `modern` the limit that lm-eval reads from the model's
    configuration."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: fp32 for the models of `report.acceptance`; for others bf16 if the GPU supports it,
    else fp32. Each result records its precision."""
    samples: bool = False
    """Also write the requests to the model and its outputs, one file per task."""
    replicates: Annotated[int, Field(ge=100)] = 2000
    """Number of resamples for the confidence interval of each graded score, such as F1."""
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
    """Maximum length of an answer, in the model's tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0: greedy decoding, deterministic. Above 0: sampling from the full distribution, with the
    seed."""
    tokens_per_batch: Annotated[int, Field(gt=0)] | None = None
    """Tokens per batch (prompts, answers and padding); changes speed and memory only. Null: on a
    GPU measured, so that a batch fits its memory."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: bf16 if the GPU supports it, else fp32."""
    version: Version = 2
