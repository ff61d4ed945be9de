"""Describe the run as a Workflow Run RO-Crate, for machines."""

from lamini.jobs import run_job
from lamini.report.crate import write_crate

run_job(snakemake, write_crate)
