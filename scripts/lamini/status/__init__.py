"""What a run has done and costs, read from its files while it is on: `make status`, `make cost`.

Nothing here writes, takes Snakemake's lock or builds its graph of jobs.
"""
