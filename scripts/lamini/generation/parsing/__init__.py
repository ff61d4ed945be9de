"""Parsing of the instructions in a teacher's answer (`examples.parse_examples`), step by step.

1. `leftovers`: thoughts and other chat turns are removed from the answer.
2. `labels`, or `json_answers`: the texts of the examples are found.
3. `tidying`: the format around each instruction is removed.
4. `answered`: instructions that contain their response are rejected.
"""
