"""Tables 1 and 2, and tables that the paper does not have: generation, contamination, quality."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.params.common import NoParams, SourceParams
from lamini.catalogue.params.dataset import (
    ContaminationParams,
    PlainParams,
    StatisticsParams,
    TokenizersParams,
)
from lamini.evaluation.results import wilson
from lamini.tables.csv_headings import csv_heading
from lamini.tables.published import number, read_csv
from lamini.tables.row_records import source_files
from lamini.tables.rows import cells, column, headings
from lamini.tables.table import MISSING, Cell, Table, text_cell


def statistics_table(published: Path, statistics: Path, params: StatisticsParams) -> Table:
    """Table 1: samples, tokens and mean lengths of each source, ours and published."""
    by_source = {row["instruction_source"]: row for row in read_csv(published)}
    rows = []
    for row in read_csv(statistics):
        theirs = by_source.get(published_key(row, params), {})
        rows.append(
            [
                text_cell(params.symbols.get(row["instruction_source"], "D_ALL")),
                text_cell(row["instruction_source"]),
                Cell(number(row["samples"]), ours=True),
                _published_count(theirs.get("samples_millions")),
                Cell(number(row["instruction_tokens"]), ours=True),
                _published_count(theirs.get("instruction_tokens_millions")),
                *with_margin(row, "instruction", "mean_tokens"),
                Cell(number(theirs.get("instruction_mean_tokens")), digits=2),
                Cell(number(row["response_tokens"]), ours=True),
                _published_count(theirs.get("response_tokens_millions")),
                *with_margin(row, "response", "mean_tokens"),
                Cell(number(theirs.get("response_mean_tokens")), digits=2),
            ]
        )
    return Table(
        columns=[
            "Dataset",
            "Source",
            *("Samples", "published samples"),
            *("Instruction tokens", "published tokens", "Mean length", "±", "published length"),
            *("Response tokens", "published tokens", "Mean length", "±", "published length"),
        ],
        rows=rows,
        notes=[
            f"Lengths are in tokens of the tokenizer `{params.tokenizer}`; published numbers of"
            " samples and tokens are rounded to 10,000.",
            INTERVALS,
        ],
        row_files=[source_files(row["instruction_source"]) for row in read_csv(statistics)],
    )


def tokenizers_table(published: Path, counts: list[Path], params: TokenizersParams) -> Table:
    """Table 1's mean lengths with several tokenizers, and their difference from the published.

    The difference depends on the tokenizer alone only if the dataset is the published one.
    """
    by_source = {row["instruction_source"]: row for row in read_csv(published)}
    counted = [read_csv(path) for path in counts]
    rows: list[list[Cell]] = []
    distances: list[list[float]] = [[] for _ in counted]
    errors: list[list[float | None]] = [[] for _ in counted]
    for lines in zip(*counted, strict=True):
        theirs = by_source.get(published_key(lines[0], params), {})
        for text in ("instruction", "response"):
            target = number(theirs.get(f"{text}_mean_tokens"))
            cells = [
                text_cell(params.symbols.get(lines[0]["instruction_source"], "D_ALL")),
                text_cell(text),
                Cell(target, digits=2),
            ]
            for line, distance, error in zip(lines, distances, errors, strict=True):
                mean, half = number(line[f"{text}_mean_tokens"]), number(line.get(f"{text}_margin"))
                apart = 100 * (mean / target - 1) if mean is not None and target else None
                cells += [Cell(mean, ours=True, digits=2), Cell(apart, ours=True, digits=1)]
                if apart is not None and target:
                    distance.append(abs(apart))
                    error.append(None if half is None else 100 * half / target)
            rows.append(cells)
    means = [sum(d) / len(d) if d else None for d in distances]
    last = [text_cell("mean of the absolute differences"), text_cell(None), Cell(None)]
    rows.append([*last, *(c for m in means for c in (Cell(None), Cell(m, ours=True, digits=1)))])
    note = "The dataset is not the published one: the differences are the texts', too."
    if params.dataset == "published" and all(mean is not None for mean in means):
        note = _closest(dict(zip(params.tokenizers, distances, strict=True)), errors)
    return Table(
        columns=[
            "Dataset",
            "Text",
            "published",
            *(head for key in params.tokenizers for head in (key, "Δ %")),
        ],
        rows=rows,
        notes=[note],
    )


def _closest(distances: dict[str, list[float]], errors: Sequence[Sequence[float | None]]) -> str:
    """Name the tokenizer with the smallest mean difference, and those within its sampling error.

    Args:
        distances: absolute differences in percent, by tokenizer.
        errors: half the 95 % interval of each difference, in the same order.
    """
    means = {name: sum(apart) / len(apart) for name, apart in distances.items()}
    closest = min(means, key=lambda name: means[name])
    halves = errors[list(means).index(closest)]
    known = [half for half in halves if half is not None]
    start = f"Closest to the published lengths: `{closest}` ({means[closest]:.1f} %"
    if len(known) < len(halves):
        return f"{start}; sampling error unknown, too few texts)."
    error = math.hypot(*known) / len(known)
    others = [
        f"`{k}`" for k, mean in means.items() if k != closest and mean - error <= means[closest]
    ]
    same = f" Within the error as close: {', '.join(others)}." if others else ""
    return f"{start}, sampling error ± {error:.1f} %).{same}"


def with_margin(row: dict[str, str], text: str, value: str) -> list[Cell]:
    """A mean over texts, and half the width of its 95 % confidence interval, if there is one."""
    values = (number(row[f"{text}_{column}"]) for column in (value, "margin"))
    return [Cell(measure, ours=True, digits=2) for measure in values]


def published_key(row: dict[str, str], params: SourceParams) -> str:
    """Source name in the published CSV; it is empty for the whole dataset."""
    return "" if row["instruction_source"] == params.mixture else row["instruction_source"]


def _published_count(millions: str | None) -> Cell:
    count = number(millions)
    return Cell(None if count is None else round(count * 1e6))


INTERVALS = "±: half the 95 % interval in which the mean of as many other texts, drawn alike, lies."


def contamination_table(analysis: Path, params: ContaminationParams) -> Table:
    """Words shared with evaluated examples: examples per task, and pairs per task and source."""
    records = read_csv(analysis)
    sizes = params.ngrams
    rows = []
    for task in dict.fromkeys(record["task"] for record in records):
        here = {r["instruction_source"]: r for r in records if r["task"] == task}
        everything = here[params.mixture]
        examples = number(everything["examples"])
        shares = [
            cell
            for size in sizes
            for cell in _rate(everything[f"examples_{size}"], everything["examples"])
        ]
        pairs = [
            Cell(number(here[source][f"pairs_{sizes[-1]}"]) if source in here else None, ours=True)
            for source in (*params.sources, params.mixture)
        ]
        rows.append(
            [
                text_cell(params.tasks.get(task, "All tasks")),
                Cell(examples, ours=True),
                Cell(number(everything["comparable_examples"]), ours=True),
                *shares,
                *pairs,
            ]
        )
    symbols = [params.symbols[source] for source in params.sources]
    return Table(
        columns=[
            "Task",
            "Examples",
            "Comparable",
            *(head for size in sizes for head in (f"Sharing {size} words, %", "from", "to")),
            *(f"{symbol}: pairs" for symbol in (*symbols, "D_ALL")),
        ],
        rows=rows,
        notes=[
            "From, to: 95 % interval of the share by Wilson's method.",
            f"Comparable: examples with a text of {sizes[0]} words or more; others share nothing.",
            f"Pairs: those that share {sizes[-1]} words in a row, in instruction or response.",
        ],
    )


def _rate(part: str, whole: str) -> list[Cell]:
    """A share in percent, and the ends of its 95 % interval."""
    of = int(whole)
    share = int(part) / of if of else None
    ends = (None, None) if share is None else wilson(share, of)
    values = (None if value is None else 100 * value for value in (share, *ends))
    return [Cell(value, ours=True, digits=1) for value in values]


@dataclass(frozen=True)
class GenerationRow:
    """A row of `generation_table`: one stage of one source."""

    source: str = column("Source", ours=False)
    stage: str = column("Stage", ours=False)
    model: str = column("Teacher", ours=False)
    requests: float | None = column("Requests")
    wanted: float | None = column("Wanted")
    accepted: float | None = column("Accepted")
    parsed: float | None = column("Parsed, %", digits=1)
    rejected: str | None = column("Rejected or flagged", ours=False)
    prompt_tokens: float | None = column("Prompt tokens")
    completion_tokens: float | None = column("Completion tokens")
    dollars: float | None = column("US$", digits=2)


def generation_table(generation: Path, params: NoParams) -> Table:
    """Requests, accepted and rejected texts, tokens and dollars, per source and stage."""
    rows, row_files = [], []
    for row in read_csv(generation):
        if row["stage"] not in ("instructions", "pairs"):
            continue
        rate = number(row["parse_rate"])
        made = GenerationRow(
            source=row["source"],
            stage=row["stage"],
            model=row["model"],
            requests=number(row["requests"]),
            wanted=number(row["wanted"]),
            accepted=number(row["accepted"]),
            parsed=None if rate is None else 100 * rate,
            rejected=_counted(row, "rejected_") or _counted(row, "flagged_"),
            prompt_tokens=number(row["prompt_tokens"]),
            completion_tokens=number(row["completion_tokens"]),
            dollars=number(row["dollars"]),
        )
        rows.append(cells(made))
        row_files.append(source_files(row["source"], row["stage"]))
    return Table(
        columns=headings(GenerationRow),
        rows=rows,
        notes=[
            "Instructions are rejected for the reason given; answers are flagged and kept.",
            "`surplus`: well-formed instructions beyond what the shard still needed.",
        ],
        row_files=row_files,
    )


def _counted(row: dict[str, str], prefix: str) -> str | None:
    """Non-zero counts of the columns with a prefix, named by the rest of the column name."""
    counts = {key: int(value or 0) for key, value in row.items() if key.startswith(prefix)}
    named = [f"{key.removeprefix(prefix)} {count}" for key, count in counts.items() if count]
    return ", ".join(named) or None


def plain_table(analysis: Path, params: PlainParams, errors: Path | None = None) -> Table:
    """All columns of an analysis CSV, with readable headings and numeric cells."""
    records = read_csv(analysis)
    columns = list(records[0]) if records else params.columns
    notes = [*params.notes, *_error_notes(errors, params)]
    return Table(
        columns=[csv_heading(name) for name in columns],
        rows=[[_cell(record[name], params.digits) for name in columns] for record in records],
        notes=notes,
        row_files=[source_files(record.get("instruction_source", "")) for record in records],
    )


def _error_notes(errors: Path | None, params: PlainParams) -> list[str]:
    """The measured errors of the detectors whose counts a table shows."""
    if errors is None:
        return []
    measured = {row["detector"]: row for row in read_csv(errors)}
    shown = (
        f"{name}: precision {_share(measured[key], 'precision')},"
        f" recall {_share(measured[key], 'recall')}"
        for key, name in params.detectors.items()
    )
    return [f"Detectors on labelled rows, in %, with 95 % intervals. {'; '.join(shown)}."]


def detectors_table(errors: Path, params: NoParams) -> Table:
    """The errors of the detectors (`lamini.analysis.detectors`)."""
    rows = [
        [
            text_cell(row["detector"].replace("_", " ")),
            *(
                Cell(number(row[name]), ours=True)
                for name in ("rows", "labelled", "found", "right")
            ),
            *(text_cell(_share(row, value)) for value in ("precision", "recall")),
        ]
        for row in read_csv(errors)
    ]
    return Table(
        columns=["Detected", "Rows", "Labelled", "Found", "Right", "Precision, %", "Recall, %"],
        rows=rows,
        notes=[
            "Rows that were written after the detectors, for this project (config/detectors); 95 %"
            " intervals by Wilson's method.",
            "A verb or noun is right if it equals the label. Truncated answers are not detected:"
            " the teacher's finish reason tells them; `unfinished` is an estimate from the text.",
        ],
    )


def _share(row: dict[str, str], name: str) -> str:
    """A percentage with its interval."""
    value, low, high = (number(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if value is None:
        return MISSING
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _cell(text: str, digits: int) -> Cell:
    try:
        value = float(text)
    except ValueError:
        return text_cell(text or None)
    whole = value.is_integer() and "." not in text
    return Cell(int(value) if whole else value, ours=True, digits=0 if whole else digits)
