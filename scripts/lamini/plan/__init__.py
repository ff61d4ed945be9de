"""Estimated cost of a run, before a request is sent or a GPU is used: `make plan`.

Text lengths come from the paper's Table 1, until the run's own files hold measured lengths.
"""
