"""Table of evaluated examples by the similarity of their nearest training instruction."""

from pathlib import Path

from lamini.catalogue.params.dataset import ParaphrasesParams
from lamini.tables.published import number, read_csv
from lamini.tables.table import Cell, Table, text_cell

_SHOWN = ("found", "percent", "percent_low", "percent_high", "without_shared_words")


def paraphrases_table(analysis: Path, params: ParaphrasesParams) -> Table:
    """Examples per task, and those whose nearest instruction reaches each threshold.

    Args:
        analysis: CSV of `find_paraphrases`.
        params: names of the tasks, and what was compared.
    """
    records = read_csv(analysis)
    thresholds = list(dict.fromkeys(record["similarity_from"] for record in records))
    rows = []
    for task in dict.fromkeys(record["task"] for record in records):
        own = {r["similarity_from"]: r for r in records if r["task"] == task}
        first = own[thresholds[0]]
        row = [text_cell(params.tasks.get(task, "All tasks"))]
        row += [Cell(number(first[name]), ours=True) for name in ("examples", "searched")]
        row.append(Cell(number(first["median_similarity"]), ours=True, digits=2))
        for threshold in thresholds:
            for name in _SHOWN:
                digits = 1 if name.startswith("percent") else 0
                row.append(Cell(number(own[threshold][name]), ours=True, digits=digits))
        rows.append(row)
    return Table(
        columns=[
            *("Task", "Examples", "Searched", "Median similarity"),
            *(
                head
                for threshold in thresholds
                for head in (f"≥ {threshold}", "%", "from", "to", "not shared")
            ),
        ],
        rows=rows,
        notes=[
            f"Cosine similarity of embeddings by `{params.model}`, of the texts of an example with"
            f" {params.min_words} words or more and of the instructions that Figure 3 samples (at"
            f" most {params.samples:,} of each source: {', '.join(params.sources)}).",
            "From, to: 95 % interval of the share by Wilson's method. Not shared: examples that"
            " share no run of words with a pair.",
            f"A similar text may be of the same subject only: `{params.pairs}` has the nearest"
            " pairs, to be read.",
        ],
    )
