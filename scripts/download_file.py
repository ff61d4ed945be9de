"""Fetch one public file."""

from lamini.generation.download import download_file
from lamini.log import start_logging
from lamini.settings.sources import Download

start_logging(snakemake.log[0], f"download_file {snakemake.wildcards.download}")
download_file(snakemake.output[0], Download.model_validate(snakemake.params.settings))
