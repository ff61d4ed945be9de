"""Settings of the seven instruction sources and of the topics (paper section 3.1, Table 1)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Settings, Version
from lamini.settings.human_evaluation import Judge
from lamini.settings.teacher import InstructionRequests

MAX_SHARDS = 10_000
"""Maximum number of shards per source: shard numbers have four digits."""


class Download(Settings):
    """A public file that the pipeline downloads to `results/downloads/{name}`."""

    url: str
    """Address of the file."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Expected SHA-256, checked after the download; null: recorded, but not checked."""


class LocalData(Settings):
    """Seed data in local files."""

    path: str
    """A file, or a folder with one JSONL, JSON or Parquet file per subset; of a published dataset
    also a pattern of files, such as `shards/*.parquet`. Relative to the project's root."""


class HubData(Settings):
    """Seed data on the Hugging Face hub."""

    repo: str
    """Dataset repository, such as `tatsu-lab/alpaca`."""
    revision: str
    """Commit, tag or branch; only a commit always gives the same rows (`make pins`)."""
    split: str = "train"
    """Split of the dataset."""
    subsets: list[str] | None = None
    """Dataset configurations (subsets of P3 or FLAN) to read; null: all."""
    exclude_subsets: list[str] = []
    """Regular expressions of dataset configurations to skip if `subsets` is null."""


class SeedData(Settings):
    """Location and column format of a source's seed prompts."""

    format: Literal["self_instruct", "alpaca", "p3", "flan", "jsonl", "messages"]
    """Column layout. `jsonl`: any rows with an `instruction` column and, optionally, `input`.
    `messages`: a column of conversations, lists of `role` and `content`, of which the user turns
    are read (`turns`)."""
    local: LocalData | None = None
    """Files; exactly one of `local` and `hub` is set."""
    hub: HubData | None = None
    """A dataset on the hub."""
    max_per_subset: Annotated[int, Field(gt=0)] | None = None
    """Maximum number of prompts per subset, sampled with the seed; null: all."""
    max_rows_per_subset: Annotated[int, Field(gt=0)] | None = None
    """Read only this many first rows of each file or hub subset; null: all. Saves time with
    streamed collections of which few rows are sampled."""
    max_characters: Annotated[int, Field(gt=0)] | None = None
    """Maximum length of a prompt, in characters; longer prompts would not fit into the teacher's
    context and are left out and counted. Null: no limit."""

    @model_validator(mode="after")
    def _one_location(self) -> "SeedData":
        return self._check_exactly_one("local", "hub")


class InstructionGeneration(Settings):
    """Requests for new instructions (section 3.1, Figures 2 and 7)."""

    instructions_per_request: Annotated[int, Field(gt=0, le=100)]
    """Number of instructions requested at once: 20 for self-instruct, 10 for P3 and FLAN."""
    examples_per_request: Annotated[int, Field(gt=0, le=20)] = 3
    """Number of seed prompts that a request shows as examples."""
    topics_per_request: Annotated[int, Field(ge=0, le=20)] = 0
    """Number of topics in a request; 0: guided by examples only."""
    same_subset: bool = False
    """Take all examples of a request from the same subset (P3 and FLAN)."""
    max_requests_factor: Annotated[float, Field(ge=1)] = 4.0
    """Maximum number of requests of a shard, as a multiple of the number needed if every
    instruction were accepted."""
    max_example_characters: Annotated[int, Field(gt=0)] | None = None
    """Maximum length of a prompt that is shown as an example, in characters; null: no limit."""
    max_instruction_characters: Annotated[int, Field(gt=0)] = 4000
    """Maximum length of a generated instruction, in characters; longer ones are rejected."""
    requests: InstructionRequests | None = None
    """Prompt and sampling of this source; null: `teacher.instructions`. Without `model` or
    `endpoints` here, those of `teacher.instructions` apply."""


class BestAnswer(Settings):
    """How one of several answers to a query is chosen."""

    by: Literal["agreement", "judge"] = "agreement"
    """`agreement`: the answer that is most like the others (ROUGE-L); `judge`: the model of the
    responses rates each answer by the levels of the human evaluation, and agreement decides
    between equal levels. An answer that is no refusal, not empty and not truncated goes first."""
    judge: Judge = Judge()
    """For `judge`: settings of its requests."""


class Source(Settings):
    """One of the seven subsets of D_ALL."""

    symbol: str
    """Symbol of the source in the paper, used in tables."""
    samples: Annotated[int, Field(gt=0)]
    """Number of instructions to generate, or of prompts to sample (Table 1)."""
    shards: Annotated[int, Field(gt=0, le=MAX_SHARDS)]
    """Number of shard files; each is one job per stage."""
    seeds: SeedData
    """Seed prompts: examples for new instructions, or the instructions themselves."""
    generation: InstructionGeneration | None = None
    """Generation of new instructions; null: the teacher answers the seed prompts themselves."""
    answers_per_query: Annotated[int, Field(ge=1, le=64, exclude_if=lambda count: count == 1)] = 1
    """Number of the teacher's answers to each instruction, of which the best is kept; each is paid
    for. With a larger number only the new ones are requested."""
    best_answer: Annotated[BestAnswer, Field(exclude_if=lambda best: best == BestAnswer())] = (
        BestAnswer()
    )
    """Choice of the answer, if `answers_per_query` is more than 1."""
    turns: Annotated[int, Field(ge=1, le=16, exclude_if=lambda turns: turns == 1)] = 1
    """Number of user turns, each with the teacher's answer; more than 1 makes conversations. The
    turns after the first are those of the seed (format `messages`); where it has none, the teacher
    writes them (`teacher.next_turns`). Students then need `prompt_format: chat`."""
    license: str | None = None
    """Licence of the prompts, for the dataset's card and datasheet; null: not known."""
    version: Version = 1

    @model_validator(mode="after")
    def _shards_fit(self) -> "Source":
        if self.shards > self.samples:
            raise ValueError(
                f"shards: {self.shards} shards cannot share {self.samples} samples;"
                " every shard needs at least one"
            )
        return self

    def shard_sizes(self) -> list[int]:
        """Number of samples per shard; the sizes sum to `samples` and differ by at most one."""
        size, larger = divmod(self.samples, self.shards)
        return [size + (shard < larger) for shard in range(self.shards)]


class HiddenCategories(Settings):
    """Dumps that list the hidden categories: maintenance categories, which readers do not see."""

    page_props: str
    """`page_props.sql.gz` of the same wiki and date as the category dump."""
    page: str
    """`page.sql.gz`, which gives the titles of the pages."""


class Topics(Settings):
    """Filters that select common topics from Wikipedia's categories (section 3.1)."""

    dump: str
    """`category.sql.gz` of a MediaWiki dump; relative to the project's root, or absolute."""
    max_words: Annotated[int, Field(gt=0)] = 2
    """Maximum number of words in a title (paper: "less than three")."""
    min_subcategories: Annotated[int, Field(ge=0)] = 11
    """Minimum number of subcategories (paper: "more than 10")."""
    min_pages: Annotated[int, Field(ge=0)] = 51
    """Minimum number of pages (paper: "more than 50"), which are the category's members minus its
    subcategories and files."""
    hidden: Annotated[HiddenCategories | None, Field(exclude_if=lambda value: value is None)] = None
    """Dumps by which hidden categories are dropped; null: only those that the category dump itself
    marks (dumps of MediaWiki before 2014)."""
    exclude_patterns: list[str] = []
    """Regular expressions of maintenance categories to drop, in addition to hidden categories;
    matched anywhere in the title, case-insensitive."""
    version: Version = 1
