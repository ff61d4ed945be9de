"""Count personal data by their form, per source and kind."""

from lamini.analysis.personal_data_counts import scan_personal_data
from lamini.jobs import run_job

run_job(snakemake, scan_personal_data)
