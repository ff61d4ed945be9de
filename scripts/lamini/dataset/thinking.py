"""Thoughts of a reasoning teacher in the responses of a mixture (`mixtures.{name}.thinking`).

Generated pairs have thoughts in a column of their own, `thoughts`; texts of the released dataset
may have them inside. They are separated first, so that filters see the answers alone.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamini.thoughts import split_thoughts, with_thoughts

THOUGHTS = pa.field("thoughts", pa.string())
"""Column of the pair shards; null without thoughts."""


def separated(table: pa.Table) -> pa.Table:
    """The rows with the answers alone in `response`, and all thoughts in `thoughts`."""
    texts = table["response"].to_pylist()
    known = (
        table[THOUGHTS.name].to_pylist()
        if THOUGHTS.name in table.column_names
        else [None] * len(texts)
    )
    parts = [split_thoughts(text) for text in texts]
    thoughts = [own or inside for own, (_, inside) in zip(known, parts, strict=True)]
    table = _with(table, pa.field("response", pa.string()), [answer for answer, _ in parts])
    return _with(table, THOUGHTS, thoughts)


def unfinished(table: pa.Table) -> np.ndarray:
    """Mask of separated rows that have thoughts, but no answer: they were cut off."""
    empty = pc.equal(pc.utf8_trim_whitespace(table["response"]), "")
    return np.asarray(pc.and_(empty, pc.not_equal(table[THOUGHTS.name], "")))


def joined(table: pa.Table) -> pa.Table:
    """Separated rows with the thoughts before the answers, in one form."""
    both = zip(table[THOUGHTS.name].to_pylist(), table["response"].to_pylist(), strict=True)
    texts = [with_thoughts(thoughts, answer) for thoughts, answer in both]
    return _with(table, pa.field("response", pa.string()), texts)


def _with(table: pa.Table, field: pa.Field, values: list[str]) -> pa.Table:
    column = pa.chunked_array([pa.array(values, field.type)])
    index = table.schema.get_field_index(field.name)
    if index < 0:
        return table.append_column(field, column)
    return table.set_column(index, field, column)
