"""Make one table."""

from lamini.jobs import run_job
from lamini.tables.make import make_table

run_job(snakemake, make_table)
