"""Describe the run as a Workflow Run RO-Crate, for machines."""

from lamini.job import start_job
from lamini.report.crate import write_crate

start_job(snakemake.log[0], "write_crate")
write_crate(
    inputs=dict(snakemake.input.items()),
    params=snakemake.params.settings,
    metadata=snakemake.output.metadata,
    workflow=snakemake.output.workflow,
)
