"""Write the machine-readable description of the run (Workflow Run RO-Crate)."""

from lamini.jobs import run_job
from lamini.report.crate import write_crate

run_job(snakemake, write_crate)
