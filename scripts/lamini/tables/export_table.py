"""The table of exported files: their sizes, equal greedy tokens, and the change of score."""

from pathlib import Path

from lamini.catalogue.params.models import ExportsParams
from lamini.exports.results import ExportCheck
from lamini.tables.table import Cell, Table, text_cell


def exports_table(checks: list[Path], params: ExportsParams) -> Table:
    """One row per exported file.

    Args:
        checks: JSON files of the checks.
        params: names of students and of the task.
    """
    export_checks = [ExportCheck.read(path) for path in checks]
    rows = [
        [
            text_cell(params.models[check.model]),
            text_cell(check.type),
            Cell(check.bytes / 1e6, ours=True, digits=1),
            Cell(100 * check.token_share, ours=True, digits=2),
            Cell(check.equal_answers, ours=True),
            Cell(check.equal_prompts, ours=True),
            Cell(check.score, ours=True, digits=1),
            Cell(check.change, ours=True, digits=1, signed=True),
        ]
        for check in export_checks
    ]
    first = export_checks[0]
    shortened = sorted({check.model for check in export_checks if check.shortened})
    notes = [
        f"Equal tokens (%): greedy tokens of the file that are those of the checkpoint, each after"
        f" the checkpoint's tokens before it, on {first.instructions:,} instructions. Equal"
        " answers, equal prompts: instructions with equal tokens only, and whose prompt the file's"
        " own tokenizer splits alike (–: the file has none).",
        f"Score: {first.metric} on {params.task}, and its change from the checkpoint's score.",
        f"Run by {', '.join(sorted({check.program for check in export_checks}))}.",
    ]
    if shortened:
        names = ", ".join(params.models[model] for model in shortened)
        notes.append(f"{names}: the longest requests lost a token at their start in llama.cpp.")
    return Table(
        columns=[
            "Student",
            "Type",
            "MB",
            "Equal tokens",
            "Equal answers",
            "Equal prompts",
            "Score",
            "Change",
        ],
        rows=rows,
        notes=notes,
        row_files=[[str(path)] for path in checks],
    )
