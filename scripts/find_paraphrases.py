"""Find training instructions whose meaning is near that of evaluated examples."""

from lamini.analysis.paraphrases import find_paraphrases
from lamini.jobs import run_job

run_job(snakemake, find_paraphrases)
