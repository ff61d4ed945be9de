"""Make one table of the paper, or of the run."""

from lamini.jobs import run_job
from lamini.tables.make import make_table

run_job(snakemake, make_table)
