"""Write the report: one HTML page with every table and figure."""

from lamini.jobs import run_job
from lamini.report.write import write_report

run_job(snakemake, write_report)
