"""Write the resolved configuration: every setting of this run, defaults included."""

from lamini.jobs import run_job
from lamini.report.run_config import write_run_config

run_job(snakemake, write_run_config)
