"""Compare an exported file with its checkpoint."""

from lamini.exports.check import check_export
from lamini.jobs import run_job

run_job(snakemake, check_export)
