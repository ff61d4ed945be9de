"""Tables 1 and 2, and tables that the paper does not have: generation, contamination, quality."""

from dataclasses import dataclass

from lamini.catalogue.params import (
    ContaminationParams,
    DiversityParams,
    NoParams,
    PlainParams,
    SourceParams,
    StatisticsParams,
    TokenizersParams,
)
from lamini.tables.published import number, read_csv
from lamini.tables.rows import cells, column, headings
from lamini.tables.table import Cell, Inputs, Table, text_cell


def statistics_table(inputs: Inputs, params: StatisticsParams) -> Table:
    """Table 1: samples, tokens and mean lengths of each source, ours and published."""
    ours = ("Samples", "Instruction tokens", "Mean length", "Response tokens", "Mean length")
    published = {row["instruction_source"]: row for row in read_csv(inputs["published"])}
    rows = []
    for row in read_csv(inputs["statistics"]):
        theirs = published.get(_published_key(row, params), {})
        rows.append(
            [
                text_cell(params.symbols.get(row["instruction_source"], "D_ALL")),
                text_cell(row["instruction_source"]),
                Cell(number(row["samples"]), ours=True),
                text_cell(_millions(theirs.get("samples_millions"))),
                Cell(number(row["instruction_tokens"]), ours=True),
                text_cell(_millions(theirs.get("instruction_tokens_millions"))),
                _with_margin(row, "instruction", "mean_tokens"),
                Cell(number(theirs.get("instruction_mean_tokens")), digits=2),
                Cell(number(row["response_tokens"]), ours=True),
                text_cell(_millions(theirs.get("response_tokens_millions"))),
                _with_margin(row, "response", "mean_tokens"),
                Cell(number(theirs.get("response_mean_tokens")), digits=2),
            ]
        )
    return Table(
        columns=["Dataset", "Source", *(head for each in ours for head in (each, "published"))],
        rows=rows,
        notes=[f"Lengths are in tokens of the tokenizer `{params.tokenizer}`.", _INTERVALS],
    )


def tokenizers_table(inputs: Inputs, params: TokenizersParams) -> Table:
    """Table 1's mean lengths with several tokenizers, and their difference from the published.

    The difference depends on the tokenizer alone only if the dataset is the published one.
    """
    published = {row["instruction_source"]: row for row in read_csv(inputs["published"])}
    counted = [read_csv(path) for path in inputs["counts"]]
    rows: list[list[Cell]] = []
    distances: list[list[float]] = [[] for _ in counted]
    for lines in zip(*counted, strict=True):
        theirs = published.get(_published_key(lines[0], params), {})
        for text in ("instruction", "response"):
            target = number(theirs.get(f"{text}_mean_tokens"))
            cells = [
                text_cell(params.symbols.get(lines[0]["instruction_source"], "D_ALL")),
                text_cell(text),
                Cell(target, digits=2),
            ]
            for line, distance in zip(lines, distances, strict=True):
                mean = number(line[f"{text}_mean_tokens"])
                apart = 100 * (mean / target - 1) if mean is not None and target else None
                cells += [Cell(mean, ours=True, digits=2), Cell(apart, ours=True, digits=1)]
                distance.extend([] if apart is None else [abs(apart)])
            rows.append(cells)
    means = [sum(d) / len(d) if d else None for d in distances]
    last = [text_cell("mean of the absolute differences"), text_cell(None), Cell(None)]
    rows.append([*last, *(c for m in means for c in (Cell(None), Cell(m, ours=True, digits=1)))])
    note = "The dataset is not the published one: the differences are the texts', too."
    if params.dataset == "published" and all(mean is not None for mean in means):
        closest = min(zip(means, params.tokenizers, strict=True))[1]
        note = f"Closest to the published lengths: `{closest}`."
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


def _with_margin(row: dict[str, str], text: str, value: str) -> Cell:
    """Mean over texts with its 95 % confidence interval, if there is one."""
    mean, margin = number(row[f"{text}_{value}"]), number(row[f"{text}_margin"])
    interval = None if mean is None or margin is None else (mean - margin, mean + margin)
    return Cell(mean, ours=True, digits=2, interval=interval)


def _published_key(row: dict[str, str], params: SourceParams) -> str:
    """Source name in the published CSV; it is empty for the whole dataset."""
    return "" if row["instruction_source"] == params.mixture else row["instruction_source"]


def _millions(text: str | None) -> str | None:
    return f"{text}M" if text else None


_INTERVALS = "Intervals (95 %): where the mean of as many other texts, drawn alike, would lie."
_COMBINATIONS = {
    "mean": "mean over texts; one shorter than the window counts with its type-token ratio",
    "concatenated": "over all texts joined in the dataset's order",
    "shuffled": "over all texts joined in a random order",
}


def diversity_table(inputs: Inputs, params: DiversityParams) -> Table:
    """Table 2: MATTR of instructions and responses, ours and published."""
    published = {row["instruction_source"]: row for row in read_csv(inputs["published"])}
    rows = []
    for row in read_csv(inputs["diversity"]):
        theirs = published.get(_published_key(row, params), {})
        rows.append(
            [
                text_cell(params.symbols.get(row["instruction_source"], "D_ALL")),
                text_cell(row["instruction_source"]),
                _with_margin(row, "instruction", "mattr"),
                Cell(number(theirs.get("instruction_mattr")), digits=2),
                _with_margin(row, "response", "mattr"),
                Cell(number(theirs.get("response_mattr")), digits=2),
            ]
        )
    return Table(
        columns=["Dataset", "Source", "Instructions", "published", "Responses", "published"],
        rows=rows,
        notes=[
            f"Window of {params.window} words, {_COMBINATIONS[params.texts]}.",
            _INTERVALS,
        ],
    )


def contamination_table(inputs: Inputs, params: ContaminationParams) -> Table:
    """Words shared with evaluated examples: examples per task, and pairs per task and source."""
    records = read_csv(inputs["analysis"])
    sizes = params.ngrams
    rows = []
    for task in dict.fromkeys(record["task"] for record in records):
        here = {r["instruction_source"]: r for r in records if r["task"] == task}
        everything = here[params.mixture]
        examples = number(everything["examples"])
        shares = [
            _percent(everything[f"examples_{size}"], everything["examples"]) for size in sizes
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
            *(f"Sharing {size} words, %" for size in sizes),
            *(f"{symbol}: pairs" for symbol in (*symbols, "D_ALL")),
        ],
        rows=rows,
        notes=[
            f"Comparable: examples with a text of {sizes[0]} words or more; others share nothing.",
            f"Pairs: those that share {sizes[-1]} words in a row, in instruction or response.",
        ],
    )


def _percent(part: str, whole: str) -> Cell:
    of = int(whole)
    return Cell(100 * int(part) / of if of else None, ours=True, digits=1)


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


def generation_table(inputs: Inputs, params: NoParams) -> Table:
    """Requests, accepted and rejected texts, tokens and dollars, per source and stage."""
    rows = []
    for row in read_csv(inputs["generation"]):
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
    return Table(
        columns=headings(GenerationRow),
        rows=rows,
        notes=[
            "Instructions are rejected for the reason given; answers are flagged and kept.",
            "`surplus`: well-formed instructions beyond what the shard still needed.",
        ],
    )


def _counted(row: dict[str, str], prefix: str) -> str | None:
    """Non-zero counts of the columns with a prefix, named by the rest of the column name."""
    counts = {key: int(value or 0) for key, value in row.items() if key.startswith(prefix)}
    named = [f"{key.removeprefix(prefix)} {count}" for key, count in counts.items() if count]
    return ", ".join(named) or None


def plain_table(inputs: Inputs, params: PlainParams) -> Table:
    """All columns of an analysis CSV, with readable headings and numeric cells."""
    records = read_csv(inputs["analysis"])
    columns = list(records[0]) if records else params.columns
    return Table(
        columns=[name.replace("_", " ").capitalize() for name in columns],
        rows=[[_cell(record[name], params.digits) for name in columns] for record in records],
        notes=params.notes,
    )


def _cell(text: str, digits: int) -> Cell:
    try:
        value = float(text)
    except ValueError:
        return text_cell(text or None)
    whole = value.is_integer() and "." not in text
    return Cell(int(value) if whole else value, ours=True, digits=0 if whole else digits)
