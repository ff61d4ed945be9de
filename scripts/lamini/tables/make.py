"""Building the files of a table, by its name."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

from lamini.catalogue import table_entry
from lamini.catalogue.builders import call_builder
from lamini.catalogue.params.common import ItemParams
from lamini.files import Files
from lamini.tables.formats import write_table
from lamini.tables.row_records import mark_rows
from lamini.tables.table import Table, TitledTable


def make_table(
    table: str, inputs: Mapping[str, Files], settings: ItemParams, outputs: Mapping[str, str | Path]
) -> None:
    """Build one table and write its files.

    Args:
        table: "01" ... "13", or another name of an entry in `lamini.catalogue`.
        inputs: named input files of the rule.
        settings: common params, and the params of the entry's builder.
        outputs: paths by file format: "csv", "md", "tex", "json".
    """
    entry = table_entry(table)
    builder = resolve_name(entry.builder)
    content: Table = call_builder(builder, inputs, settings.of_builder(builder))
    content = mark_rows(content, inputs.values())
    title = entry.title.format(**content.title_values)
    titled = TitledTable(
        **vars(content),
        name=table,
        title=title,
        heading=entry.heading(title),
        reproduction=settings.reproduction,
    )
    write_table(titled, outputs)
