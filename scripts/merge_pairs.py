"""Merge the pair shards of a mixture's sources into one dataset."""

from lamini.dataset.merge import merge_pairs
from lamini.jobs import run_job

run_job(snakemake, merge_pairs)
