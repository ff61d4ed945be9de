"""Count samples and tokens, and measure lexical diversity, per source and in total."""

from lamini.analysis.statistics import measure_dataset
from lamini.jobs import run_job

run_job(snakemake, measure_dataset)
