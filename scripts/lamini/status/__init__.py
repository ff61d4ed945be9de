"""Progress and costs of a run, read from its files while it runs: `make status`, `make cost`.

Both commands write nothing and do not take Snakemake's lock. Snakemake builds its job graph only
for a configuration without a previous run (`lamini.status.graph`).
"""
