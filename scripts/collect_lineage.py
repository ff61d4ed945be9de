"""Collect how every table and figure was made, back to the files that people put there."""

from lamini.job import start_job
from lamini.report.lineage import write_lineage

start_job(snakemake.log[0], "collect_lineage")
write_lineage(
    inputs=dict(snakemake.input.items()),
    params=snakemake.params.settings,
    output=snakemake.output[0],
)
