"""Write the resolved configuration: every setting of this run, defaults included."""

import yaml

from lamini.files import atomic_writer
from lamini.job import start_job

start_job(snakemake.log[0], "write_run_config")
with atomic_writer(snakemake.output[0]) as handle:
    handle.write("# The configuration of this run, resolved. Made by `write_run_config`.\n")
    yaml.safe_dump(
        snakemake.params.settings, handle, sort_keys=False, allow_unicode=True, width=100
    )
