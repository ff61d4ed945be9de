"""Fit one sweep."""

from lamini.jobs import run_job
from lamini.sweeps.fit import fit_sweep

run_job(snakemake, fit_sweep)
