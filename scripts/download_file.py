"""Fetch one public file."""

from lamini.generation.download import download_file
from lamini.job import start_job
from lamini.settings.sources import Download

start_job(snakemake.log[0], f"download_file {snakemake.wildcards.download}")
download_file(snakemake.output[0], Download.model_validate(snakemake.params.settings))
