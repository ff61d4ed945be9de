"""Report section: the students and their training (paper section 4.1)."""

from lamini import paths
from lamini.catalogue.entries import FigureEntry, Section, TableEntry
from lamini.catalogue.params.models import CollectionParams, ExportsParams, TrainingParams
from lamini.catalogue.run import Run, published


def _exports(run: Run) -> ExportsParams:
    return ExportsParams(
        models={model: run.config.models[model].name for model in run.flow.exported_types},
        task=run.task_names[run.config.exported_task],
    )


MODELS = Section(
    "models",
    "Models",
    "The students, what they start from, and how their training went (paper section 4.1).",
    tables=(
        TableEntry(
            "03",
            title=(
                "The collection: students, what they start from, and whether this run trained them."
            ),
            builder="lamini.tables.model_tables:collection_table",
            inputs=lambda run: published("models"),
            params=lambda run: CollectionParams(students=run.students, trained=run.trains),
        ),
        TableEntry(
            "training",
            title=(
                "Training: loss of the first and last step, and on held-out pairs before and after."
            ),
            builder="lamini.tables.model_tables:training_table",
            inputs=lambda run: {"manifests": run.checkpoints(paths.CHECKPOINT_MANIFEST)},
            params=lambda run: TrainingParams(students=run.students),
            when=lambda run: run.trains,
        ),
        TableEntry(
            "exports",
            title="Exported files, compared with their checkpoints.",
            builder="lamini.tables.export_table:exports_table",
            inputs=lambda run: {"checks": list(run.flow.export_checks.values())},
            params=_exports,
            when=lambda run: run.flow.export_checks,
        ),
    ),
    figures=(
        FigureEntry(
            "learning_curves",
            title="Learning curves of the students.",
            builder="lamini.figures.learning_curves:draw_learning_curves",
            inputs=lambda run: {"metrics": run.checkpoints(paths.METRICS)},
            params=lambda run: TrainingParams(students=run.students),
            chart="lamini.report.charts:learning_chart",
            when=lambda run: run.trains,
        ),
    ),
)
