"""Download one public file."""

from lamini.generation.download import download_file
from lamini.jobs import run_job

run_job(snakemake, download_file)
