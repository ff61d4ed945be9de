"""Write a merged dataset as a hub folder and as JSON lines."""

from lamini.dataset.export import export_dataset
from lamini.jobs import run_job

run_job(snakemake, export_dataset)
