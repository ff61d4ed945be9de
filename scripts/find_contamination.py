"""Find word n-grams that pairs share with the evaluated examples of the downstream tasks."""

from lamini.analysis.contamination import find_contamination
from lamini.jobs import run_job

run_job(snakemake, find_contamination)
