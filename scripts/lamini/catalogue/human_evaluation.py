"""Report section: ratings (paper sections 3.3.3 and 4.2, Appendix C)."""

from typing import Literal

from lamini import paths
from lamini.catalogue.entries import FigureEntry, Section, TableEntry
from lamini.catalogue.params.human_evaluation import (
    DatasetRatingsParams,
    DisagreementParams,
    JudgedQualityParams,
    LevelsParams,
    RatingsParams,
)
from lamini.catalogue.run import Run, published


def _rated(run: Run) -> list[str]:
    """Studies that have rating files from people."""
    return [study for study in run.flow.studies if run.flow.rating_files(study)]


def _rated_or_judged(run: Run) -> list[str]:
    return [*_rated(run), *run.flow.judged_studies]


def _rated_twice_or_judged(run: Run) -> bool:
    studies = run.config.human_evaluation.studies
    return any(studies[study].judge or studies[study].rated_twice for study in _rated(run))


def _judged_quality(run: Run) -> JudgedQualityParams:
    mixture = run.flow.study_mixture(run.judged_sample or "")
    return JudgedQualityParams(
        mixture=mixture, symbols=run.symbols, sources=run.config.mixtures[mixture].sources
    )


def _disagreement(name: str, ahead: Literal["students", "references"], title: str) -> TableEntry:
    """Table of the instruction with the largest lead of a side, `students` or `references`."""

    def params(run: Run) -> DisagreementParams:
        names = run.rated_models
        roles = {model: run.config.models[model].role for model in names}
        return DisagreementParams(
            students=[model for model in names if roles[model] == "student"],
            references=[model for model in names if roles[model] == "reference"],
            names=names,
            ahead=ahead,
        )

    return TableEntry(
        name,
        title=title,
        builder="lamini.tables.human_tables:disagreement_table",
        inputs=lambda run: {
            "ratings": run.rated("models", paths.RATINGS),
            "rated": run.rated("models", paths.ITEMS),
        },
        params=params,
        when=lambda run: run.study("models"),
    )


HUMAN_EVALUATION = Section(
    "human",
    "Human evaluation",
    "Ratings A to D by the protocol of Appendix C. People's ratings and a machine's are never"
    " mixed.",
    tables=(
        TableEntry(
            "07",
            title="Levels of the human evaluation, with an example of each.",
            builder="lamini.tables.human_tables:levels_table",
            inputs=lambda run: {},
            params=lambda run: LevelsParams(protocol=run.config.rating_protocol),
        ),
        _disagreement(
            "05", "students", "Answers to “{instruction}”, where the students are furthest ahead."
        ),
        _disagreement(
            "06",
            "references",
            "Answers to “{instruction}”, where the reference models are furthest ahead.",
        ),
        TableEntry(
            "rating_shares",
            title="Ratings by level, with the share of A and the mean.",
            builder="lamini.tables.rating_tables:rating_shares_table",
            inputs=lambda run: {"summaries": run.summaries},
            params=lambda run: RatingsParams(names=run.symbols | run.all_rated_models),
            when=_rated_or_judged,
        ),
        TableEntry(
            "judged_quality",
            title="Quality of sampled pairs by the judge, per source.",
            builder="lamini.tables.rating_tables:judged_quality_table",
            inputs=lambda run: {"ratings": paths.RATINGS.format(study=run.judged_sample)},
            params=_judged_quality,
            when=lambda run: run.judged_sample,
        ),
        TableEntry(
            "rating_comparisons",
            title="Models compared by twos, on the instructions where both are rated.",
            builder="lamini.tables.rating_tables:rating_comparisons_table",
            inputs=lambda run: {"summaries": run.summaries},
            params=lambda run: RatingsParams(names=run.symbols | run.all_rated_models),
            when=lambda run: run.study("models") in _rated_or_judged(run),
        ),
        TableEntry(
            "rating_agreement",
            title="Agreement of the ratings.",
            builder="lamini.tables.rating_tables:rating_agreement_table",
            inputs=lambda run: {"summaries": run.summaries},
            when=_rated_twice_or_judged,
        ),
    ),
    figures=(
        FigureEntry(
            "4",
            title="Ratings of sampled instructions and responses of each subset.",
            builder="lamini.figures.ratings:draw_dataset_ratings",
            inputs=lambda run: {"ratings": run.rated("dataset", paths.RATINGS)},
            params=lambda run: DatasetRatingsParams(symbols=run.symbols),
            when=lambda run: run.study("dataset"),
        ),
        FigureEntry(
            "6",
            title="Ratings of the models' answers to the user-oriented instructions, with ranks.",
            builder="lamini.figures.ratings:draw_model_ratings",
            inputs=lambda run: (
                {"ratings": run.rated("models", paths.RATINGS)}
                | published("human_evaluation_models")
            ),
            params=lambda run: RatingsParams(names=run.rated_models),
            when=lambda run: run.study("models"),
        ),
    ),
)
