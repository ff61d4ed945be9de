"""Write the resolved configuration: every setting of the run, including defaults."""

from lamini.jobs import run_job
from lamini.report.run_config import write_run_config

run_job(snakemake, write_run_config)
