"""Table 3 (the collection), and the table of training losses."""

from collections.abc import Iterator
from pathlib import Path

from lamini.catalogue.params.models import CollectionParams, TrainingParams
from lamini.tables.published import read_csv
from lamini.tables.table import Cell, Table, text_cell
from lamini.training.manifest import TrainingManifest


def collection_table(published: Path, params: CollectionParams) -> Table:
    """Table 3: students, initializations and learning rates; the paper's students first.

    Args:
        published: CSV of the paper's students.
        params: the students, and whether this run trains them.
    """
    made = "trained" if params.trained else "released checkpoint"
    ours = {model.name: model for model in params.students}
    students = read_csv(published)
    rows = [
        [
            text_cell(row["name"] + ("*" if row["recommended"] == "yes" else "")),
            text_cell(row["architecture"]),
            text_cell(row["initialization"]),
            text_cell(row["learning_rate"]),
            text_cell(made if row["name"] in ours else "not in this run"),
        ]
        for row in students
    ]
    of_paper = {row["name"] for row in students}
    rows += [
        [
            text_cell(model.name),
            text_cell({"encoder-decoder": "enc-dec", "decoder-only": "dec-only"}[kind]),
            text_cell(model.initialization),
            text_cell(f"{model.learning_rate:.0e}".replace("e-0", "e-")),
            text_cell(f"{made}; not of the paper"),
        ]
        for model in ours.values()
        if model.name not in of_paper and (kind := model.architecture)
    ]
    return Table(
        columns=["Name", "Architecture", "Initialization", "Learning rate", "This run"],
        rows=rows,
        notes=["* recommended by the authors for its size and architecture."],
    )


def training_table(manifests: list[Path], params: TrainingParams) -> Table:
    """Losses before and after training, and the amount of training data.

    Args:
        manifests: manifests of the checkpoints, in the order of the students.
        params: the students.
    """
    rows, notes = [], list[str]()
    for student, path in zip(params.students, manifests, strict=True):
        training = TrainingManifest.read(path)
        notes += _recipe_notes(student.name, training)
        left_out = sum(training.pairs_left_out.values())
        rows.append(
            [
                text_cell(student.name),
                Cell(training.steps, ours=True),
                Cell(training.pairs_used, ours=True),
                Cell(left_out, ours=True),
                Cell(training.tokens, ours=True),
                *(
                    Cell(loss, ours=True, digits=3)
                    for loss in (
                        training.loss_first,
                        training.loss_last,
                        training.held_out_before,
                        training.held_out_after,
                    )
                ),
            ]
        )
    return Table(
        columns=[
            "Student",
            "Steps",
            "Pairs",
            "Left out",
            "Tokens",
            "First step",
            "Last step",
            "Held out, before",
            "Held out, after",
        ],
        rows=rows,
        notes=[
            "Losses are in nats per supervised token; they compare within a tokenizer only.",
            "Left out: pairs longer than the recipe allows or without a supervised token.",
            *notes,
        ],
        row_files=[[str(path)] for path in manifests],
    )


def _recipe_notes(student: str, training: TrainingManifest) -> Iterator[str]:
    """Sentences on adapter, kept epoch and early stop; none with the default recipe."""
    if training.adapter is not None:
        trained, frozen = training.adapter.parameters_trained, training.adapter.parameters_frozen
        yield f"{student}: a LoRA adapter of {trained:,} parameters; {frozen:,} are not trained."
    if training.kept_epoch is not None:
        yield f"{student}: weights of epoch {training.kept_epoch:g}, with the lowest held-out loss."
    if training.stopped_early:
        yield (
            f"{student}: stopped after {training.steps:,} of {training.steps_planned:,} steps,"
            " because the held-out loss did not fall any more."
        )
