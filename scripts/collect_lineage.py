"""Trace every table and figure back to the user-provided files."""

from lamini.jobs import run_job
from lamini.report.lineage import collect_lineage

run_job(snakemake, collect_lineage)
