"""Report section: the dataset (paper section 3.3), with analyses that the paper does not have."""

from collections.abc import Callable
from typing import Any

from lamini import paths
from lamini.catalogue.entries import FigureEntry, Section, TableEntry
from lamini.catalogue.params import (
    ContaminationParams,
    DiversityParams,
    LengthsParams,
    PlainParams,
    ProjectionParams,
    StatisticsParams,
    TokenizersParams,
    VerbsParams,
)
from lamini.catalogue.run import Run, published


def _diversity(run: Run) -> DiversityParams:
    return DiversityParams(
        mixture=run.mixture,
        symbols=run.symbols,
        window=run.config.analysis.mattr_window,
        texts=run.config.analysis.mattr_texts,
    )


def _token_counts(run: Run) -> list[str]:
    others = run.config.analysis.other_tokenizers
    counts = [paths.TOKEN_COUNTS.format(mixture=run.mixture, tokenizer=name) for name in others]
    return [paths.STATISTICS.format(mixture=run.mixture), *counts]


def _tokenizers(run: Run) -> TokenizersParams:
    analysis = run.config.analysis
    return TokenizersParams(
        mixture=run.mixture,
        symbols=run.symbols,
        tokenizers=[analysis.tokenizer, *analysis.other_tokenizers],
        dataset=run.config.dataset,
    )


def _contamination(run: Run) -> ContaminationParams:
    return ContaminationParams(
        mixture=run.mixture,
        symbols=run.symbols,
        sources=run.config.mixtures[run.mixture].sources,
        ngrams=sorted(run.config.analysis.contamination.ngrams),
        tasks=run.task_names,
    )


def _plain(
    name: str,
    title: str,
    pattern: str,
    *,
    notes: Callable[[Run], list[str]] = lambda run: [],
    digits: int = 2,
    when: Callable[[Run], Any] = lambda run: True,
) -> TableEntry:
    """A CSV file shown without changes."""
    return TableEntry(
        name,
        title=title,
        builder="lamini.tables.dataset_tables:plain_table",
        inputs=lambda run: run.analysis(analysis=pattern),
        params=lambda run: PlainParams(title=title, notes=notes(run), digits=digits, columns=[]),
        when=when,
    )


def _duplicate_notes(run: Run) -> list[str]:
    duplicates = run.config.analysis.duplicates
    return [
        f"Jaccard similarity of {duplicates.threshold:g} or more over words in runs of"
        f" {duplicates.ngram}; exact duplicates are among them."
    ]


def _funnel_notes(run: Run) -> list[str]:
    words = run.config.analysis.funnel.shared_words
    return [
        "From left to right: not in another language, not refused, not truncated, no"
        f" near-duplicate, no {words} words shared with an evaluated example."
    ]


DATASET = Section(
    "dataset",
    "Dataset",
    "What the teacher wrote, how it compares with the published data (paper section 3.3), and what"
    " the paper could not show: doubtful pairs, repetitions, and words shared with the evaluated"
    " examples.",
    tables=(
        TableEntry(
            "01",
            title="Statistics of the dataset, ours and as published.",
            builder="lamini.tables.dataset_tables:statistics_table",
            inputs=lambda run: (
                run.analysis(statistics=paths.STATISTICS) | published("dataset_statistics")
            ),
            params=lambda run: StatisticsParams(
                mixture=run.mixture, symbols=run.symbols, tokenizer=run.config.analysis.tokenizer
            ),
        ),
        TableEntry(
            "02",
            title="Lexical diversity: MATTR (×100), ours and as published.",
            builder="lamini.tables.dataset_tables:diversity_table",
            inputs=lambda run: (
                run.analysis(diversity=paths.DIVERSITY) | published("dataset_statistics")
            ),
            params=_diversity,
        ),
        TableEntry(
            "tokenizers",
            title="Mean lengths in tokens of several tokenizers, and as published.",
            builder="lamini.tables.dataset_tables:tokenizers_table",
            inputs=lambda run: {"counts": _token_counts(run)} | published("dataset_statistics"),
            params=_tokenizers,
            when=lambda run: run.config.analysis.other_tokenizers,
        ),
        TableEntry(
            "generation",
            title="What was asked of the teacher, and what came of it.",
            builder="lamini.tables.dataset_tables:generation_table",
            inputs=lambda run: {"generation": paths.GENERATION},
            when=lambda run: run.generated,
        ),
        _plain("quality", "Flags of the generated text, per source.", paths.QUALITY),
        _plain(
            "funnel",
            "What is left of each source as doubtful pairs are taken out.",
            paths.FUNNEL,
            notes=_funnel_notes,
            digits=1,
        ),
        _plain(
            "near_duplicates",
            "Near-duplicate instructions, within a source and of sources before it.",
            paths.NEAR_DUPLICATE_COUNTS,
            notes=_duplicate_notes,
            digits=1,
        ),
        TableEntry(
            "contamination",
            title="Words that pairs share with the evaluated examples.",
            builder="lamini.tables.dataset_tables:contamination_table",
            inputs=lambda run: run.analysis(analysis=paths.CONTAMINATION),
            params=_contamination,
        ),
        _plain(
            "semantic_diversity",
            "Semantic diversity of the instructions' embeddings.",
            paths.SEMANTIC_DIVERSITY,
            notes=lambda run: [
                "Mean pairwise cosine distance and Vendi score, with 95 % bootstrap intervals."
            ],
            digits=3,
        ),
        _plain(
            "topic_coverage",
            "Topics that the topic-guided instructions were shown, and those that they reach.",
            paths.TOPIC_COVERAGE,
            notes=lambda run: [
                "A topic is reached when an instruction of its request has all its words."
            ],
            digits=1,
            when=lambda run: run.has_topics,
        ),
    ),
    figures=(
        FigureEntry(
            "3",
            title="t-SNE of the sentence embeddings of instructions, two sets a panel.",
            builder="lamini.figures.projection:draw_projection",
            inputs=lambda run: run.analysis(projection=paths.PROJECTION),
            params=lambda run: ProjectionParams(panels=run.panels, symbols=run.symbols),
            chart="lamini.report.charts:projection_chart",
        ),
        FigureEntry(
            "lengths",
            title="Lengths of instructions and responses in tokens, per source.",
            builder="lamini.figures.lengths:draw_lengths",
            inputs=lambda run: run.analysis(lengths=paths.LENGTHS),
            params=lambda run: LengthsParams(symbols=run.symbols),
            chart="lamini.report.charts:length_chart",
        ),
        FigureEntry(
            "verbs",
            title="The 20 most frequent verbs of a sample of instructions, with 4 objects of each.",
            builder="lamini.figures.verbs:draw_verbs",
            inputs=lambda run: run.analysis(verbs=paths.VERBS),
            params=lambda run: VerbsParams(mixture=run.mixture),
        ),
    ),
)
