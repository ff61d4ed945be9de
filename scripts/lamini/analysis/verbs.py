"""Root verb and direct object of each instruction, as in self-instruct's Figure 3.

Wang et al. (2023) parse each instruction and take the verb closest to the root of its parse tree,
with its first direct noun object. This module does the same with a dependency parser (spaCy).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamini.analysis.columns import write_csv
from lamini.analysis.sampling import choose_rows, sampled_batches
from lamini.errors import LaminiError
from lamini.files import read_json, resolve_path
from lamini.log import Progress
from lamini.settings.params import CountVerbs

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Span

COLUMNS = ("instruction_source", "verb", "noun", "instructions", "sampled")
"""One row per source, verb and noun, sorted by descending count, then by name.

The noun is empty for a verb without an object; both are empty if no verb was found. The last rows
count all sources together.
"""
CHARACTERS = 500
"""Characters read per instruction: the task comes first, the rest is often the task's input."""
_BATCH = 128


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
    facts = read_json(manifest)
    sources = [name for name, source in facts["sources"].items() if source["rows"]]
    samples = choose_rows(
        facts,
        sources,
        settings.samples,
        purpose="count_verbs",
        seed=settings.seed,
        setting="analysis.mixture",
    )
    parser = load_parser(settings.model)
    counts: dict[str, Counter[tuple[str, str]]] = {source: Counter() for source in samples}
    with Progress(sum(map(len, samples.values())), "instructions") as progress:
        for source, batch in sampled_batches(dataset, samples, ["instruction"]):
            texts = [text[:CHARACTERS] for text in batch["instruction"].to_pylist()]
            counts[source].update(verbs_and_nouns(parser, texts))
            progress.advance(len(batch))
    write_csv(verbs, COLUMNS, _rows(facts, counts))


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
    """Lemmas of verb and noun of each text; an empty string if there is none."""
    found = []
    for document in parser.pipe(texts, batch_size=_BATCH):
        sentence = next((s for s in document.sents if any(t.is_alpha for t in s)), None)
        found.append(_verb_and_noun(sentence) if sentence is not None else ("", ""))
    return found


def _verb_and_noun(sentence: "Span") -> tuple[str, str]:
    """The verb closest to the sentence's root (the first of several), and its object."""
    level = [sentence.root]
    while level:
        for token in level:
            if token.pos_ == "VERB":
                nouns = [
                    child.lemma_.lower()
                    for child in token.children
                    if child.dep_ == "dobj" and child.pos_ in ("NOUN", "PROPN")
                ]
                return token.lemma_.lower(), nouns[0] if nouns else ""
        level = [child for token in level for child in token.children]
    return "", ""


def _rows(
    facts: Mapping[str, Any], counts: Mapping[str, Counter[tuple[str, str]]]
) -> list[dict[str, Any]]:
    total: Counter[tuple[str, str]] = Counter()
    for source_counts in counts.values():
        total.update(source_counts)
    ordered = [s for s in facts["settings"]["sources"] if s in counts]
    rows = []
    for name, found in [*((s, counts[s]) for s in ordered), (facts["mixture"], total)]:
        most_frequent = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        rows += [
            dict(zip(COLUMNS, (name, verb, noun, count, found.total()), strict=True))
            for (verb, noun), count in most_frequent
        ]
    return rows
