"""Select the common topics of a Wikipedia dump."""

from lamini.generation.topics import select_topics
from lamini.jobs import run_job

run_job(snakemake, select_topics)
