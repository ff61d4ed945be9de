"""Find near-duplicate instructions with MinHash."""

from lamini.analysis.near_duplicates import find_near_duplicates
from lamini.jobs import run_job

run_job(snakemake, find_near_duplicates)
