"""Measure precision and recall of the detectors on labelled samples."""

from lamini.analysis.detectors import measure_detectors
from lamini.jobs import run_job

run_job(snakemake, measure_detectors)
