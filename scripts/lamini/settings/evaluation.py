"""Settings of the automatic evaluation and of free-text answers (section 4.2, Table 8)."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Name, Settings, Version


class TaskData(Settings):
    """Location of a task's examples."""

    repo: str
    """Dataset on the hub; also the folder in the local mirror."""
    config: str | None = None
    """Configuration of the dataset; null: its only one (folder `default` in a mirror)."""
    configs: Annotated[
        dict[str, Name] | None,
        Field(min_length=1, exclude_if=lambda configs: configs is None),
    ] = None
    """For a group of tasks, such as MMLU: its configurations, each with the name of its task in
    lm-eval (`anatomy: mmlu_anatomy`). The score is the mean over the examples of all."""
    split: str
    """Evaluated split of the dataset."""
    revision: str | None = None
    """Commit, tag or branch on the hub; null: the branch `main`."""
    sha256: str | None = None
    """SHA-256 of the rows, as recorded in each result; null: not checked."""

    @model_validator(mode="after")
    def _one_kind(self) -> "TaskData":
        if self.config is not None and self.configs is not None:
            raise ValueError("set `config` or, for a group of tasks, `configs`, not both")
        return self


MetricName = Annotated[str, Field(pattern=r"^[a-z0-9_]+(,[A-Za-z0-9_-]+)?$")]


class Task(Settings):
    """A downstream task: one of the paper's 15, another task of lm-eval, or a user-defined task."""

    name: str
    """Display name, as in the paper."""
    category: str
    """Task category of Table 8."""
    metric: MetricName
    """Metric of Table 8, reported times 100. For another task: a metric that lm-eval computes for
    each example of it (`acc`, `acc_norm`, `f1`, `exact_match` ...). If the task has several filters
    of answers, the filter follows after a comma (`exact_match,flexible-extract`); without it, the
    first filter counts."""
    examples: Annotated[int, Field(gt=0)]
    """Number of examples in the evaluated split (Table 8)."""
    data: TaskData
    """Examples of the task."""
    include_path: Annotated[str | None, Field(exclude_if=lambda path: path is None)] = None
    """Folder of user-defined lm-eval tasks, one of which has this task's name; relative to the
    project's root. Null: lm-eval's own definition."""
    other_metrics: Annotated[list[MetricName], Field(exclude_if=lambda metrics: not metrics)] = []
    """Further metrics for the task's result file."""
    num_fewshot: Annotated[int, Field(ge=0, exclude_if=lambda number: not number)] = 0
    """Number of solved examples before each question, chosen as lm-eval's command line chooses
    them."""
    fewshot_split: Annotated[str | None, Field(exclude_if=lambda split: split is None)] = None
    """Split of the dataset with the solved examples; null: those in the task's definition."""
    fewshot_as_multiturn: Annotated[bool, Field(exclude_if=lambda turns: turns)] = True
    """For models with `prompt_format: chat`: each solved example is a user's and an assistant's
    turn; false: all are in one user's turn."""
    generation_kwargs: Annotated[dict[str, Any], Field(exclude_if=lambda changes: not changes)] = {}
    """Changes of the generation settings in the definition of a task with generated answers, such
    as `max_gen_toks: 256`."""
    version: Version = 1

    @model_validator(mode="after")
    def _complete(self) -> "Task":
        if self.fewshot_split is not None and not self.num_fewshot:
            raise ValueError("`fewshot_split` needs `num_fewshot`")
        return self


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
    lm_eval_files: Annotated[bool, Field(exclude_if=lambda written: not written)] = False
    """Also write each result in lm-eval's own form: `results_{task}.json` and
    `samples_{task}.jsonl` in `results/evals/{model}/lm_eval/`."""
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
