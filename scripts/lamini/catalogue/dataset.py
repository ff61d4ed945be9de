"""Report section: the dataset (paper section 3.3), with analyses that the paper does not have."""

from collections.abc import Callable
from typing import Any

from lamini import paths
from lamini.catalogue.entries import FigureEntry, Section, TableEntry
from lamini.catalogue.params.dataset import (
    ContaminationParams,
    DiversityParams,
    LengthsParams,
    MattrReadingsParams,
    NearDuplicateCurveParams,
    ParaphrasesParams,
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
        tokens=run.config.analysis.mattr_tokens,
        lower_case=run.config.analysis.mattr_lower_case,
        texts=run.config.analysis.mattr_texts,
    )


def _mattr_readings(run: Run) -> MattrReadingsParams:
    return MattrReadingsParams(
        mixture=run.mixture,
        symbols=run.symbols,
        sources=run.config.mixtures[run.mixture].sources,
        tokenizer=run.config.analysis.tokenizer,
        window=run.config.analysis.mattr_window,
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
    detectors: dict[str, str] | None = None,
) -> TableEntry:
    """A CSV file shown without changes; `detectors` as in `PlainParams`."""
    errors = {"errors": paths.DETECTOR_ERRORS} if detectors else {}
    return TableEntry(
        name,
        title=title,
        builder="lamini.tables.dataset_tables:plain_table",
        inputs=lambda run: run.analysis(analysis=pattern) | errors,
        params=lambda run: PlainParams(
            title=title,
            notes=notes(run),
            digits=digits,
            columns=[],
            detectors=detectors or {},
        ),
        when=when,
    )


def _duplicate_notes(run: Run) -> list[str]:
    duplicates = run.config.analysis.duplicates
    return [
        f"Jaccard similarity of {duplicates.threshold:g} or more over words in runs of"
        f" {duplicates.ngram}; exact duplicates are among them."
    ]


def _paraphrases(run: Run) -> ParaphrasesParams:
    analysis = run.config.analysis
    return ParaphrasesParams(
        tasks=run.task_names,
        model=analysis.embeddings.model,
        samples=analysis.embeddings.samples,
        sources=list(dict.fromkeys(source for panel in run.panels for source in panel)),
        min_words=analysis.paraphrases.min_words,
        pairs=paths.PARAPHRASE_PAIRS.format(mixture=run.mixture),
    )


def _neighbourhood_notes(run: Run) -> list[str]:
    embeddings = run.config.analysis.embeddings
    return [
        f"Embeddings: `{embeddings.model}`, compared by cosine distance. Cut: instructions that are"
        " longer than the model reads; their ends have no effect.",
        f"Layout: t-SNE from the principal components, seed {run.config.seed}; the second one"
        " has another seed and starts from random positions. Kept: nearest neighbours by the"
        " embeddings that are also nearest in the layout. Same in both: neighbours in the figure"
        " that the second layout has, too; the others are chance.",
        "Distances between islands, and their areas, are not those of the embeddings.",
    ]


def _funnel_notes(run: Run) -> list[str]:
    words = run.config.analysis.funnel.shared_words
    return [
        "From left to right: not in another language, answered, not truncated, no"
        f" near-duplicate, no {words} words shared with an evaluated example. Then what each filter"
        " finds alone; refusals and non-answers are both unanswered. The last columns are counted"
        " and not taken out.",
        "The first of several near-duplicates stays, if no other filter takes it out.",
        "–: the data does not tell why a response ended.",
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
            builder="lamini.tables.mattr_tables:diversity_table",
            inputs=lambda run: (
                run.analysis(diversity=paths.DIVERSITY) | published("dataset_statistics")
            ),
            params=_diversity,
        ),
        TableEntry(
            "mattr_readings",
            title="Table 2 with other tokens and joined texts, and as published.",
            builder="lamini.tables.mattr_tables:mattr_readings_table",
            inputs=lambda run: (
                run.analysis(readings=paths.MATTR_READINGS) | published("dataset_statistics")
            ),
            params=_mattr_readings,
            when=lambda run: run.config.dataset == "published",
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
        _plain(
            "quality",
            "Flags of the generated text, per source.",
            paths.QUALITY,
            detectors={"refusal": "refusals"},
        ),
        _plain(
            "funnel",
            "What is left of each source as doubtful pairs are taken out.",
            paths.FUNNEL,
            detectors={
                "other_language": "non-English",
                "refusal": "refused",
                "non_answer": "non-answers",
                "unfinished": "unfinished",
            },
            notes=_funnel_notes,
            digits=1,
        ),
        TableEntry(
            "detectors",
            title="Precision and recall of the detectors on labelled samples.",
            builder="lamini.tables.dataset_tables:detectors_table",
            inputs=lambda run: {"errors": paths.DETECTOR_ERRORS},
        ),
        _plain(
            "near_duplicates",
            "Near-duplicate instructions, within a source and of sources before it.",
            paths.NEAR_DUPLICATE_COUNTS,
            notes=_duplicate_notes,
            digits=1,
        ),
        _plain(
            "readability",
            "Texts whose words cannot be read, or only character by character.",
            paths.READABILITY,
            notes=lambda run: [
                "Duplicates, contamination and MATTR compare words: they do not see texts without"
                " words. In scripts without spaces, each character counts as a word."
            ],
        ),
        _plain(
            "personal_data",
            "Texts with personal data, and number of finds by kind.",
            paths.PERSONAL_DATA,
            notes=lambda run: [
                "Found by form, with checksums where there are any: e-mail, phone, web and IP"
                " addresses, bank accounts (IBAN), card and US social security numbers. Names and"
                " postal addresses have no form and are not found; much of what is found is made up"
                " or public. `mixtures.NAME.mask_personal_data` masks it.",
            ],
            digits=2,
        ),
        TableEntry(
            "contamination",
            title="Words that pairs share with the evaluated examples.",
            builder="lamini.tables.dataset_tables:contamination_table",
            inputs=lambda run: run.analysis(analysis=paths.CONTAMINATION),
            params=_contamination,
        ),
        TableEntry(
            "paraphrases",
            title="Evaluated examples by the similarity of their nearest training instruction.",
            builder="lamini.tables.paraphrase_table:paraphrases_table",
            inputs=lambda run: run.analysis(analysis=paths.PARAPHRASES),
            params=_paraphrases,
            when=lambda run: run.panels,
        ),
        _plain(
            "semantic_diversity",
            "Semantic diversity of the instructions' embeddings.",
            paths.SEMANTIC_DIVERSITY,
            notes=lambda run: [
                "Mean pairwise cosine distance with its 95 % interval, and Vendi score. The Vendi"
                " score grows with the number of samples: compare scores of one number only.",
            ],
            digits=3,
            when=lambda run: run.panels,
        ),
        _plain(
            "neighbourhoods",
            "Figure 3: settings, and how much of the neighbourhood its layout keeps.",
            paths.NEIGHBOURHOODS,
            notes=_neighbourhood_notes,
            digits=2,
            when=lambda run: run.panels,
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
            inputs=lambda run: run.analysis(
                projection=paths.PROJECTION, neighbourhoods=paths.NEIGHBOURHOODS
            ),
            params=lambda run: ProjectionParams(panels=run.panels, symbols=run.symbols),
            chart="lamini.report.charts:projection_chart",
            when=lambda run: run.panels,
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
            "near_duplicates",
            title="Share of near-duplicate instructions at each threshold of similarity.",
            builder="lamini.figures.near_duplicates:draw_near_duplicates",
            inputs=lambda run: run.analysis(
                near_duplicates=paths.NEAR_DUPLICATES, counts=paths.NEAR_DUPLICATE_COUNTS
            ),
            params=lambda run: NearDuplicateCurveParams(
                mixture=run.mixture,
                symbols=run.symbols,
                threshold=run.config.analysis.duplicates.threshold,
            ),
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
