"""Export a merged dataset as a folder for the hub and as JSONL."""

from lamini.dataset.export import export_dataset
from lamini.jobs import run_job

run_job(snakemake, export_dataset)
