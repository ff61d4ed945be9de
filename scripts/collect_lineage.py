"""Collect how every table and figure was made, back to the files that people put there."""

from lamini.jobs import run_job
from lamini.report.lineage import collect_lineage

run_job(snakemake, collect_lineage)
