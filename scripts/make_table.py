"""Make one table of the paper, or of the run."""

from lamini.job import start_job
from lamini.tables.make import make_table

start_job(snakemake.log[0], f"make_table {snakemake.wildcards.table}")
make_table(
    snakemake.wildcards.table,
    inputs=dict(snakemake.input.items()),
    params=snakemake.params.settings,
    outputs=dict(snakemake.output.items()),
)
