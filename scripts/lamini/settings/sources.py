"""Settings of the seven instruction sources and of the topics (paper section 3.1, Table 1)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Name, Settings, Version
from lamini.settings.teacher import InstructionRequests

SOURCES = (
    "self_instruct_without_topic",
    "self_instruct_with_topic",
    "generated_p3",
    "generated_flan",
    "alpaca",
    "original_p3",
    "original_flan",
)
"""The `instruction_source` values of the published dataset, in Table 1's order."""

MAX_SHARDS = 10_000
"""Shards are numbered with four digits."""


class Download(Settings):
    """A public file that the pipeline fetches to `results/downloads/{name}`."""

    url: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Checked after the download; null: not checked, recorded."""


class LocalData(Settings):
    """Seed data in local files."""

    path: str
    """A file, or a folder with a JSONL, JSON or Parquet file per subset; relative to the root."""


class HubData(Settings):
    """Seed data on the Hugging Face hub."""

    repo: str
    """Dataset repository, such as `tatsu-lab/alpaca`."""
    revision: str
    """Commit or tag that is read; pinned, so that the same config reads the same rows."""
    split: str = "train"
    subsets: list[str] | None = None
    """Configurations (P3's and FLAN's subsets) to read; null: the repository's only one, or all."""
    exclude_subsets: list[str] = []
    """Regular expressions of configurations that are not read, when `subsets` is null."""


class SeedData(Settings):
    """Where a source's seed prompts come from, and how a row becomes a prompt."""

    format: Literal["self_instruct", "alpaca", "p3", "flan", "jsonl"]
    """Column layout. `jsonl`: any rows with an `instruction` column and, optionally, `input`."""
    local: LocalData | None = None
    hub: HubData | None = None
    max_per_subset: Annotated[int, Field(gt=0)] | None = None
    """At most this many prompts of one subset, sampled with the seed; null: all."""
    max_rows_per_subset: Annotated[int, Field(gt=0)] | None = None
    """Read at most the first so many rows of each file or hub subset; null: all. Saves the time to
    stream collections of which few rows are sampled."""
    max_characters: Annotated[int, Field(gt=0)] | None = None
    """Longer prompts are left out, and counted: they would not fit into the teacher's context."""

    @model_validator(mode="after")
    def _one_place(self) -> "SeedData":
        if (self.local is None) == (self.hub is None):
            raise ValueError("give exactly one of `local` and `hub`")
        return self


class InstructionGeneration(Settings):
    """How new instructions are asked for (section 3.1, Figures 2 and 7)."""

    instructions_per_request: Annotated[int, Field(gt=0, le=100)]
    """Asked for in one request: 20 for self-instruct, 10 for P3 and FLAN."""
    examples_per_request: Annotated[int, Field(gt=0, le=20)] = 3
    topics_per_request: Annotated[int, Field(ge=0, le=20)] = 0
    """Topics in one request; 0: example-guided only."""
    same_subset: bool = False
    """Take the examples of one request from one subset (P3 and FLAN)."""
    max_requests_factor: Annotated[float, Field(ge=1)] = 4.0
    """A shard stops after this many times the requests it would need if all were accepted."""
    max_example_characters: Annotated[int, Field(gt=0)] | None = None
    """Longer prompts are not shown as examples; null: all may be."""
    max_instruction_characters: Annotated[int, Field(gt=0)] = 4000
    """Longer generated instructions are rejected."""
    requests: InstructionRequests | None = None
    """How this source is asked for; null: as `teacher.instructions` says."""


class Source(Settings):
    """One of the seven subsets of D_ALL."""

    symbol: str
    """The paper's name, for tables."""
    samples: Annotated[int, Field(gt=0)]
    """Instructions to generate, or prompts to sample (Table 1)."""
    shards: Annotated[int, Field(gt=0, le=MAX_SHARDS)]
    """Files the source is split into; each is one job per stage."""
    seeds: SeedData
    generation: InstructionGeneration | None = None
    """Null for sources whose own prompts are answered."""
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
        """Samples of each shard; they add up to `samples` and differ by at most one."""
        size, larger = divmod(self.samples, self.shards)
        return [size + (shard < larger) for shard in range(self.shards)]


class Topics(Settings):
    """The common topics of Wikipedia (section 3.1): which categories of the dump are kept."""

    dump: str
    """`category.sql.gz` of a MediaWiki dump, relative to the root or absolute."""
    max_words: Annotated[int, Field(gt=0)] = 2
    """Words of a title at most ("less than three")."""
    min_subcategories: Annotated[int, Field(ge=0)] = 11
    """Subcategories at least ("more than 10")."""
    min_pages: Annotated[int, Field(ge=0)] = 51
    """Pages proper at least ("more than 50"): members less subcategories and files."""
    exclude_patterns: list[str] = []
    """Regular expressions of maintenance categories, matched anywhere, case-insensitive."""
    version: Version = 1


SourceName = Name
