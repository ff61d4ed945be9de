"""Report section: scores on the downstream tasks (paper section 4.2)."""

from collections.abc import Callable, Iterable

from lamini import paths
from lamini.catalogue.entries import FigureEntry, Section, TableEntry
from lamini.catalogue.paper import (
    PUBLISHED_FAMILIES,
    PUBLISHED_INITIALIZATIONS,
    PUBLISHED_MODELS,
    PUBLISHED_TABLE_4,
)
from lamini.catalogue.params.common import ModelPair
from lamini.catalogue.params.evaluation import (
    AcceptanceParams,
    AveragesParams,
    CleanScoresParams,
    FigureOfScoresParams,
    ImprovementParams,
    ReproducedImprovementParams,
    ReproductionParams,
    ScoresParams,
    TaskDescription,
    TaskScoresParams,
    TasksParams,
)
from lamini.catalogue.run import Run, published


def _improvements(run: Run) -> list[ModelPair]:
    """Students whose initialization is evaluated as well, with that initialization."""
    initial = {s: run.config.models[s].initialization or "" for s in run.config.students}
    return [
        _pair(run, student, key) for student, key in initial.items() if key in run.config.references
    ]


def _pair(run: Run, student: str, baseline: str) -> ModelPair:
    return ModelPair(
        student=run.named(student),
        baseline=run.named(baseline),
        seeds=run.seed_runs(student, baseline),
    )


def _reproduced_improvements(run: Run) -> list[ModelPair]:
    """Pairs whose student and initialization are those of the paper."""
    return [
        pair
        for pair in _improvements(run)
        if (pair.baseline.name, pair.student.name) in PUBLISHED_INITIALIZATIONS
    ]


def _evals_of_pairs(run: Run, pairs: Iterable[ModelPair]) -> list[str]:
    """Evaluation results of the students and initializations of all pairs, each once."""
    pairs = list(pairs)
    models = (model for pair in pairs for model in (pair.student, pair.baseline))
    return [
        *run.evals(dict.fromkeys(model.key for model in models)),
        *run.seed_evals(pair.seeds for pair in pairs),
    ]


def _improvement(run: Run) -> ImprovementParams:
    return ImprovementParams(
        pairs=_improvements(run),
        tasks=run.task_names,
        mixture=run.mixture,
        words=max(run.config.analysis.contamination.ngrams),
    )


def _clean_pairs(run: Run) -> list[ModelPair]:
    """The improvements, and students with their twins of the decontaminated mixture."""
    models, mixtures = run.config.models, run.config.mixtures
    cleaned = {
        name: mixture.decontamination.mixture
        for name, mixture in mixtures.items()
        if mixture.decontamination and mixture.decontamination.mixture == run.mixture
    }
    twins = [
        _pair(run, student, twin)
        for student in run.config.students
        for twin in run.config.students
        if models[student].initialization == models[twin].initialization
        and models[student].mixture == cleaned.get(models[twin].mixture or "")
    ]
    return [*_improvements(run), *twins]


def _clean_scores(run: Run) -> CleanScoresParams:
    return CleanScoresParams(
        pairs=_clean_pairs(run),
        tasks=run.task_names,
        mixture=run.mixture,
        words=max(run.config.analysis.contamination.ngrams),
    )


def _reproduced(run: Run) -> list[str]:
    """Evaluated models that are in the paper's tables."""
    models = run.config.models
    return [m for m in run.flow.evaluated_models if models[m].name in PUBLISHED_MODELS]


def _accepted(run: Run) -> list[str]:
    """Evaluated models with unrounded scores from the authors."""
    return [m for m in run.config.report.acceptance if m in run.flow.evaluated_models]


def acceptance_params(run: Run) -> AcceptanceParams:
    """Params of the acceptance table, which `python -m lamini.acceptance` also uses."""
    models = [run.named(model) for model in _accepted(run)]
    return AcceptanceParams(models=models, tasks=run.task_names)


def _tasks(run: Run) -> dict[str, TaskDescription]:
    tasks = ((key, run.config.tasks[key]) for key in run.config.evaluated_tasks)
    return {
        key: TaskDescription(
            name=task.name, category=task.category, metric=task.metric, examples=task.examples
        )
        for key, task in tasks
    }


def _averages(run: Run) -> AveragesParams:
    evaluated = run.flow.evaluated_models
    return AveragesParams(
        models=[run.scored(model) for model in evaluated],
        bases={pair.student.key: pair.baseline.key for pair in _improvements(run)},
        reference_lines=run.config.report.reference_lines,
        tasks=run.task_names,
        seeds={pair.student.key: pair.seeds for pair in _improvements(run) if pair.seeds},
    )


def _by_task(name: str, title: str) -> TableEntry:
    """Table of the scores by task; two builders have the same inputs and params."""
    return TableEntry(
        name,
        title=title,
        builder=f"lamini.tables.task_tables:{name}_table",
        inputs=lambda run: {
            "evals": run.evals(run.flow.evaluated_models),
            **run.analysis(
                contamination=paths.CONTAMINATION, contaminated=paths.CONTAMINATED_EXAMPLES
            ),
            **published("eval_results", tasks="tasks"),
        },
        params=lambda run: TaskScoresParams(
            models=[run.scored(model) for model in run.flow.evaluated_models],
            tasks=_tasks(run),
            mixture=run.mixture,
            words=max(run.config.analysis.contamination.ngrams),
            another_teacher=run.another_teacher,
        ),
    )


def _scores(
    name: str,
    title: str,
    models: Callable[[Run], Iterable[str]],
    published_models: Iterable[str],
) -> TableEntry:
    """Table of scores: the evaluated models among `models`, and published models."""

    def shown(run: Run) -> list[str]:
        return [model for model in models(run) if model in run.flow.evaluated_models]

    return TableEntry(
        name,
        title=title,
        builder="lamini.tables.evaluation_tables:scores_table",
        inputs=lambda run: {"evals": run.evals(shown(run))} | published("eval_results"),
        params=lambda run: ScoresParams(
            title=title,
            models=[run.scored(model) for model in shown(run)],
            published_models=list(published_models),
            tasks=run.task_names,
        ),
    )


def _family(name: str, family: str) -> TableEntry:
    """Table of scores of one family: its reference models and students."""
    return _scores(
        name,
        f"Scores of the {family} models and their students on the downstream tasks.",
        lambda run: [m for m in run.flow.evaluated_models if run.config.models[m].family == family],
        PUBLISHED_FAMILIES[family],
    )


EVALUATION = Section(
    "evaluation",
    "Evaluation",
    "Zero-shot scores on the downstream tasks (paper section 4.2), ours beside the published.",
    tables=(
        TableEntry(
            "averages",
            title="Average score of each model, its gain over its base, and distances.",
            builder="lamini.tables.average_tables:averages_table",
            inputs=lambda run: {
                "evals": [
                    *run.evals(run.flow.evaluated_models),
                    *run.seed_evals(pair.seeds for pair in _improvements(run)),
                ],
                **published("eval_results"),
            },
            params=_averages,
        ),
        _by_task("by_task", "Each task: ours, the paper's, and what is known of the difference."),
        _by_task("task_scores", "Every score, task by task, beside the published one."),
        TableEntry(
            "reproduction",
            title="Does the run reproduce the paper? Our scores against the published ones.",
            builder="lamini.tables.reproduction_table:reproduction_table",
            inputs=lambda run: (
                {"evals": run.evals(_reproduced(run))}
                | published("eval_results", collection="models")
            ),
            params=lambda run: ReproductionParams(
                models=[run.scored(model) for model in _reproduced(run)],
                tasks=run.task_names,
                another_teacher=run.another_teacher,
            ),
        ),
        TableEntry(
            "reproduced_improvement",
            title=(
                "Do the improvements match the paper's? Student less baseline, ours and published."
            ),
            builder="lamini.tables.reproduction_table:reproduced_improvement_table",
            inputs=lambda run: (
                {"evals": _evals_of_pairs(run, _reproduced_improvements(run))}
                | published("eval_results", collection="models")
            ),
            params=lambda run: ReproducedImprovementParams(
                pairs=_reproduced_improvements(run),
                tasks=run.task_names,
                another_teacher=run.another_teacher,
            ),
            when=_reproduced_improvements,
        ),
        _scores(
            "scores",
            "Scores of all models on the downstream tasks.",
            lambda run: run.flow.evaluated_models,
            PUBLISHED_MODELS,
        ),
        _scores(
            "04",
            "Scores of the selected models on the downstream tasks.",
            lambda run: run.config.report.selected,
            PUBLISHED_TABLE_4,
        ),
        TableEntry(
            "08",
            title="The downstream tasks: size of the evaluated split as published and in this run.",
            builder="lamini.tables.evaluation_tables:tasks_table",
            inputs=lambda run: {"evals": run.evals(run.flow.evaluated_models[:1])},
            params=lambda run: TasksParams(tasks=_tasks(run)),
        ),
        *(_family(f"{number:02}", family) for number, family in enumerate(PUBLISHED_FAMILIES, 9)),
        TableEntry(
            "improvement",
            title="Students against the models that they started from, example by example.",
            builder="lamini.tables.improvement_table:improvement_table",
            inputs=lambda run: {
                "evals": _evals_of_pairs(run, _improvements(run)),
                **run.analysis(contamination=paths.CONTAMINATION),
            },
            params=_improvement,
            when=_improvements,
        ),
        TableEntry(
            "clean_scores",
            title="Scores with and without the examples that share words with the dataset.",
            builder="lamini.tables.clean_scores_table:clean_scores_table",
            inputs=lambda run: {
                "evals": _evals_of_pairs(run, _clean_pairs(run)),
                **run.analysis(
                    contamination=paths.CONTAMINATION, examples=paths.CONTAMINATED_EXAMPLES
                ),
            },
            params=_clean_scores,
            when=_clean_pairs,
        ),
        TableEntry(
            "acceptance",
            title="Acceptance: public models, ours against the authors' own scores.",
            builder="lamini.tables.acceptance_table:acceptance_table",
            inputs=lambda run: {"evals": run.evals(_accepted(run))} | published("authors_results"),
            params=acceptance_params,
            when=_accepted,
        ),
    ),
    figures=(
        FigureEntry(
            "5",
            title="Average score on the downstream tasks against model size.",
            builder="lamini.figures.scores:draw_scores",
            inputs=lambda run: (
                {"evals": run.evals(run.flow.evaluated_models)} | published("eval_results")
            ),
            params=lambda run: FigureOfScoresParams(
                models=[run.scored(model) for model in run.flow.evaluated_models],
                reference_lines=run.config.report.reference_lines,
                tasks=list(run.config.evaluated_tasks),
            ),
            chart="lamini.report.charts:score_chart",
        ),
    ),
)
