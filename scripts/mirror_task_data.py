"""Copy the examples of one task from the hub, for clusters without network access."""

from lamini.evaluation.data import mirror_task_data
from lamini.jobs import run_job

run_job(snakemake, mirror_task_data)
