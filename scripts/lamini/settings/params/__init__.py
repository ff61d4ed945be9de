"""Params of each rule: one class per rule, named after the rule, in a module per stage.

A class has the settings that the rule's result depends on. `lamini.workflow.params` builds the
instances; the rule's function takes them, so mypy checks both sides. Snakemake's `params` are the
fields in their order (`as_params`): renaming or reordering a field makes existing results stale.
Settings that change only speed or safety are not fields.
"""
