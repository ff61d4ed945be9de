"""Select the unique instructions of one source, and split them into shards."""

from lamini.generation.queries import select_queries
from lamini.jobs import run_job

run_job(snakemake, select_queries)
