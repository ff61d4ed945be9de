"""Measure lexical diversity with each kind of tokens and each way to combine the texts."""

from lamini.analysis.mattr_readings import measure_mattr_readings
from lamini.jobs import run_job

run_job(snakemake, measure_mattr_readings)
