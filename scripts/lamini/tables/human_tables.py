"""Tables 5, 6 and 7: rating levels, and the answers with the largest differences in rating."""

from collections import defaultdict
from pathlib import Path

from lamini.catalogue.params.human_evaluation import DisagreementParams, LevelsParams
from lamini.files import read_jsonl
from lamini.human_evaluation.rating_protocols import RATING_PROTOCOLS
from lamini.human_evaluation.shown import read_shown
from lamini.human_evaluation.statistics import value
from lamini.tables.row_records import ANSWER_FILES
from lamini.tables.table import Table, text_cell

SHOWN_CHARACTERS = 400


def levels_table(params: LevelsParams) -> Table:
    """Table 7: the four rating levels, in the words of Appendix C or in ours."""
    rating_protocol = RATING_PROTOCOLS[params.protocol]
    origin = "After Appendix C of the paper, which follows self-instruct's protocol; our words."
    return Table(
        columns=["Level", "A text deserves it when it is", "Such as"],
        rows=[
            [
                text_cell(f"Rate-{level.name}"),
                text_cell(level.criterion),
                text_cell(f"“{level.example}” {level.why}".strip()),
            ]
            for level in rating_protocol.levels
        ],
        notes=[
            f"The examples answer the instruction “{rating_protocol.example_instruction}”",
            rating_protocol.source or origin,
        ],
    )


def disagreement_table(ratings: Path, rated: Path, params: DisagreementParams) -> Table:
    """Tables 5 and 6: the instruction with the largest gap between both sides' mean ratings.

    Args:
        ratings: CSV of the ratings.
        rated: JSONL of the rated items.
        params: the rated models, and the side with the higher ratings.
    """
    shown = read_shown(ratings)
    groups: dict[str, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in shown.rows:
        groups[row["group"]][row["subject"]].append(row)
    best = max(groups, key=lambda g: (_lead(groups[g], params), g), default=None)
    items = {item["item"]: item for item in read_jsonl(rated)}
    rows, row_files, instruction = [], list[list[str]](), "no ratings yet"
    for subject in params.students + params.references:
        of_subject = groups[best].get(subject, []) if best is not None else []
        for row in of_subject[:1]:
            item = items[row["item"]]
            instruction = item["instruction"]
            row_files.append([pattern.format(model=subject) for pattern in ANSWER_FILES])
            rows.append(
                [
                    text_cell(params.names[subject]),
                    text_cell(_shorten(item["text"])),
                    text_cell("/".join(sorted(r["rating"] for r in of_subject))),
                ]
            )
    return Table(
        columns=["Model", "Response", "Rate"],
        rows=rows,
        row_files=row_files,
        notes=[
            "Chosen by rule: the largest gap between the mean ratings of students and references.",
            f"{shown.label.capitalize()}.",
        ],
        title_values={"instruction": _shorten(instruction)},
    )


def _lead(group: dict[str, list[dict[str, str]]], params: DisagreementParams) -> float:
    """Mean rating of side `ahead` minus the other's (A = 3 ... D = 0); -inf without ratings."""

    def mean(models: list[str]) -> float | None:
        values = [value(row["rating"]) for m in models for row in group.get(m, [])]
        return sum(values) / len(values) if values else None

    students, references = mean(params.students), mean(params.references)
    if students is None or references is None:
        return float("-inf")
    return students - references if params.ahead == "students" else references - students


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS].rstrip() + " …"
