"""From a table's name to its files."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lamini.catalogue import TABLES
from lamini.files import listed
from lamini.provenance import record_provenance
from lamini.tables.table import Table, TitledTable, write_table


def make_table(
    name: str, inputs: dict[str, Any], params: dict[str, Any], outputs: dict[str, str | Path]
) -> None:
    """Make one table.

    Args:
        name: of an entry in `lamini.catalogue`.
        inputs: named input files of the rule.
        params: `reproduction`, and what the entry's builder takes.
        outputs: paths by form: "csv", "md", "tex", "json".
    """
    entry = TABLES[name]
    table: Table = resolve_name(entry.builder)(inputs, params)
    title = entry.title.format(**table.title_values)
    titled = TitledTable(
        **vars(table),
        name=name,
        title=title,
        heading=entry.heading(title),
        reproduction=params["reproduction"],
    )
    write_table(titled, outputs)
    files = [path for value in inputs.values() for path in listed(value)]
    first, *beside = outputs.values()
    record_provenance(first, rule="make_table", settings=params, inputs=files, beside=beside)
