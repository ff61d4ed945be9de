"""Write the datasheet and the Croissant metadata of a dataset."""

from lamini.dataset.datasheet import describe_dataset
from lamini.jobs import run_job

run_job(snakemake, describe_dataset)
