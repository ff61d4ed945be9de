"""From a table's name to its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamini.tables.acceptance_table import acceptance_table
from lamini.tables.cost_table import cost_table
from lamini.tables.dataset_tables import (
    contamination_table,
    diversity_table,
    generation_table,
    plain_table,
    statistics_table,
    tokenizer_table,
)
from lamini.tables.evaluation_tables import score_table, task_table
from lamini.tables.human_tables import disagreement_table, level_table
from lamini.tables.improvement_table import improvement_table
from lamini.tables.model_tables import collection_table, training_table
from lamini.tables.rating_tables import agreement_table, comparison_table, share_table
from lamini.tables.reproduction_table import reproduced_improvement_table, reproduction_table
from lamini.tables.table import Table, write_table

Builder = Callable[[str, dict[str, Any], dict[str, Any]], Table]

BUILDERS: dict[str, Builder] = {
    "statistics": statistics_table,
    "diversity": diversity_table,
    "tokenizers": tokenizer_table,
    "collection": collection_table,
    "scores": score_table,
    "reproduction": reproduction_table,
    "reproduced_improvement": reproduced_improvement_table,
    "cost": cost_table,
    "improvement": improvement_table,
    "acceptance": acceptance_table,
    "disagreement": disagreement_table,
    "levels": level_table,
    "rating_shares": share_table,
    "rating_comparisons": comparison_table,
    "rating_agreement": agreement_table,
    "tasks": task_table,
    "generation": generation_table,
    "contamination": contamination_table,
    "training": training_table,
    "plain": plain_table,
}


def make_table(
    table: str, inputs: dict[str, Any], settings: dict[str, Any], outputs: dict[str, str | Path]
) -> None:
    """Make one table.

    Args:
        table: "01" ... "13", or the name of a table that the paper does not have.
        inputs: named input files of the rule.
        settings: `kind` (a key of `BUILDERS`) and what that builder takes.
        outputs: paths by form: "csv", "md", "tex", "json".
    """
    write_table(BUILDERS[settings["kind"]](table, inputs, settings), outputs)
