"""Write the report: one page with every table and figure."""

from lamini.job import start_job
from lamini.report.write import write_report

start_job(snakemake.log[0], "write_report")
write_report(
    inputs=dict(snakemake.input.items()),
    params=snakemake.params.settings,
    output=snakemake.output[0],
)
