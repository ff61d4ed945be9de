"""Count the tokens of a dataset with one of the compared tokenizers."""

from lamini.analysis.token_counts import count_tokens
from lamini.jobs import run_job

run_job(snakemake, count_tokens)
