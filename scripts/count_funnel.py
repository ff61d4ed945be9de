"""Count the remaining pairs of each source after each filter of doubtful pairs."""

from lamini.analysis.funnel import count_funnel
from lamini.jobs import run_job

run_job(snakemake, count_funnel)
