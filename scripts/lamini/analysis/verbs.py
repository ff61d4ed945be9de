"""Root verb and direct object of each instruction, as in self-instruct's Figure 3.

Wang et al. (2023) parse each instruction and take the verb closest to the root of its parse tree,
with its first direct noun object. This module does the same with a dependency parser (spaCy).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lamini.analysis.columns import CsvRow, write_csv
from lamini.analysis.sampling import choose_rows, sampled_batches
from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import resolve_path
from lamini.log import Progress
from lamini.settings.params.analysis import CountVerbs

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

COLUMNS = ("instruction_source", "verb", "noun", "instructions", "sampled")
"""One row per source, verb and noun, sorted by descending count, then by name.

The noun is empty for a verb without an object; both are empty if no verb was found. The last rows
count all sources together.
"""
CHARACTERS = 500
"""Characters read per instruction: the task comes first, the rest is often the task's input."""
_BATCH = 128
_LABEL = re.compile(r"(?:question|task|instruction|prompt|q)\s*[:.]\s*", re.IGNORECASE)
_INPUT = re.compile(r"\n|:|\s[-–—]\s")
_OPENING = re.compile(
    r"(?:(?:please|kindly|now|first|next|then|also|quickly|always|never|do not|don't|let's|let us)"
    r"\b,? ?)+",
    re.IGNORECASE,
)
_ADJUNCT = re.compile(
    r"(?:in|using|given|based|for|with|as|from|step|if|to|after|before|without)\b[^,.]*,\s+",
    re.IGNORECASE,
)
_MODAL = "You should"
_MODAL_TOKENS = 2
_WISHES = ("want", "need", "like")


def count_verbs(
    *,
    manifest: str | Path,
    dataset: str | Path,
    verbs: str | Path,
    settings: CountVerbs,
) -> None:
    """Count verbs and their objects in a sample of each source's instructions.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        verbs: CSV to write, in `COLUMNS`.
        settings: the rule's params: parser model, sample size and seed.

    Raises:
        LaminiError: when the dataset or the parser's model cannot be read.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    sources = [name for name, counts in dataset_manifest.sources.items() if counts.rows]
    chosen = choose_rows(
        dataset_manifest,
        sources,
        settings.samples,
        purpose="count_verbs",
        seed=settings.seed,
        setting="analysis.mixture",
    )
    parser = load_parser(settings.model)
    counts: dict[str, Counter[tuple[str, str]]] = {source: Counter() for source in chosen}
    with Progress(sum(map(len, chosen.values())), "instructions") as progress:
        for source, batch in sampled_batches(dataset, chosen, ["instruction"]):
            texts = [text[:CHARACTERS] for text in batch["instruction"].to_pylist()]
            counts[source].update(verbs_and_nouns(parser, texts))
            progress.advance(len(batch))
    write_csv(verbs, COLUMNS, _rows(dataset_manifest, counts))


def load_parser(model: str) -> "Language":
    """Load the dependency parser, without unneeded components.

    Args:
        model: folder of a spaCy model, or `package:NAME/PATH` for a folder inside a package.

    Raises:
        LaminiError: when the model cannot be loaded.
    """
    import spacy

    try:
        return spacy.load(resolve_path(model), exclude=["ner"])
    except (OSError, ValueError) as error:
        raise LaminiError(
            f"{model}: no spaCy model could be loaded ({error!s:.300});"
            " check `analysis.verbs.model`"
        ) from error


def verbs_and_nouns(parser: "Language", texts: Iterable[str]) -> list[tuple[str, str]]:
    """Lemmas of verb and noun of each text; an empty string if there is none.

    Only the task is parsed, not its input. Parsers take many imperatives for nouns ("List rivers");
    so where the task does not start with a verb, it is parsed again after "You should".
    """
    tasks = [task_of(text) for text in texts]
    plain = [_verb(document) for document in parser.pipe(tasks, batch_size=_BATCH)]
    starts = [_ADJUNCT.sub("", _OPENING.sub("", task), count=1).strip() for task in tasks]
    commands = (
        f"{_MODAL} {start[:1].lower()}{start[1:]}" if start and not _is_first(verb, task) else ""
        for start, verb, task in zip(starts, plain, tasks, strict=True)
    )
    lemmas = []
    for parsed, document in zip(plain, parser.pipe(commands, batch_size=_BATCH), strict=True):
        command = document[_MODAL_TOKENS:][0] if len(document) > _MODAL_TOKENS else None
        # A base form after "should", such as "list", is a verb; "what" or "lists" is none.
        imperative = command is not None and command.tag_ == "VB" and command.pos_ == "VERB"
        verb = command if imperative else parsed
        lemmas.append(("", "") if verb is None else (_lemma(verb), _object(verb)))
    return lemmas


def task_of(instruction: str) -> str:
    """The part of an instruction before its input: before a line end, a colon or a dash.

    It is empty if only a label is before the input ("Review: I loved it.").
    """
    text = _LABEL.sub("", instruction.strip(), count=1)
    match = _INPUT.search(text)
    if match is None:
        return text
    task = text[: match.start()]
    if len(task.split()) > 1:
        return task
    return "" if match[0] == ":" else text


def _is_first(verb: "Token | None", task: str) -> bool:
    """Whether a verb is the first word of its task."""
    return verb is not None and task[: verb.idx].strip() == ""


def _verb(document: "Doc") -> "Token | None":
    """The verb closest to the root of the first sentence (the first of several)."""
    sentence = next((s for s in document.sents if any(t.is_alpha for t in s)), None)
    level = [] if sentence is None else [sentence.root]
    while level:
        for token in level:
            if token.pos_ == "VERB":
                return _wanted(token)
        level = [child for token in level for child in token.children]
    return None


def _wanted(verb: "Token") -> "Token":
    """What is wanted by "I want you to write ..."; else the verb."""
    if verb.lemma_ in _WISHES:
        for child in verb.children:
            if child.dep_ in ("xcomp", "ccomp") and child.pos_ == "VERB":
                return child
    return verb


def _lemma(token: "Token") -> str:
    return token.lemma_.lower()


def _object(verb: "Token") -> str:
    nouns = (c for c in verb.children if c.dep_ == "dobj" and c.pos_ in ("NOUN", "PROPN"))
    return next(map(_lemma, nouns), "")


def _rows(
    manifest: DatasetManifest, counts: Mapping[str, Counter[tuple[str, str]]]
) -> list[CsvRow]:
    total: Counter[tuple[str, str]] = Counter()
    for source_counts in counts.values():
        total.update(source_counts)
    ordered = [s for s in manifest.settings.sources if s in counts]
    rows: list[CsvRow] = []
    for name, frequencies in [*((s, counts[s]) for s in ordered), (manifest.mixture, total)]:
        most_frequent = sorted(frequencies.items(), key=lambda item: (-item[1], item[0]))
        rows += [
            (name, verb, noun, count, frequencies.total()) for (verb, noun), count in most_frequent
        ]
    return rows
