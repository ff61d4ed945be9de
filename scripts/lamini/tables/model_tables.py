"""Table 3, and how training went."""

from typing import Any

from lamini.files import read_json
from lamini.tables.published import read_csv
from lamini.tables.table import Cell, Table, text_cell

Params = dict[str, Any]
Inputs = dict[str, Any]


def collection_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Table 3: the students, their initialisations and recipes; the paper's first."""
    ours = {model["name"]: model for model in params["students"]}
    rows = [
        [
            text_cell(row["name"] + ("*" if row["recommended"] == "yes" else "")),
            text_cell(row["architecture"]),
            text_cell(row["initialization"]),
            text_cell(row["learning_rate"]),
            text_cell("trained" if row["name"] in ours else "not in this run"),
        ]
        for row in read_csv(inputs["published"])
    ]
    published = {row["name"] for row in read_csv(inputs["published"])}
    rows += [
        [
            text_cell(model["name"]),
            text_cell({"encoder-decoder": "enc-dec", "decoder-only": "dec-only"}[kind]),
            text_cell(model["initialization"]),
            text_cell(f"{model['learning_rate']:.0e}".replace("e-0", "e-")),
            text_cell("trained; not of the paper"),
        ]
        for model in ours.values()
        if model["name"] not in published and (kind := model["architecture"])
    ]
    return Table(
        name=name,
        title="The collection: students, what they start from, and whether this run trained them.",
        columns=["Name", "Architecture", "Initialization", "Learning rate", "This run"],
        rows=rows,
        notes=["* recommended by the authors for its size and architecture."],
    )


def training_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Loss before and after training, and on how much text."""
    rows = []
    for student in params["students"]:
        facts = read_json(f"results/checkpoints/{student['key']}/final/manifest.json")
        left_out = sum(facts["pairs_left_out"].values())
        rows.append(
            [
                text_cell(student["name"]),
                Cell(facts["steps"], ours=True),
                Cell(facts["pairs_used"], ours=True),
                Cell(left_out, ours=True),
                Cell(facts["tokens"], ours=True),
                *(
                    Cell(facts[key], ours=True, digits=3)
                    for key in ("loss_first", "loss_last", "held_out_before", "held_out_after")
                ),
            ]
        )
    return Table(
        name=name,
        title="Training: loss of the first and last step, and on held-out pairs before and after.",
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
        ],
        reproduction=params["reproduction"],
    )
