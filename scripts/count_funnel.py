"""Count what is left of each source as doubtful pairs are taken out."""

from lamini.analysis.funnel import count_funnel
from lamini.jobs import run_job

run_job(snakemake, count_funnel)
