"""Params of the report's rules: one class per builder of a table or figure, named after it, in a
module per section of the catalogue.

The entries of the catalogue build the instances; builders take them, so mypy checks both sides.
Snakemake's `params` are the fields in their order: renaming or reordering a field makes existing
results stale. The classes are not in `lamini.settings`, which a job that makes a table need not
load.
"""
