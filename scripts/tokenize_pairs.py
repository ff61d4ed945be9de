"""Tokenize a mixture once for all models with the same tokenizer."""

from lamini.jobs import run_job
from lamini.students.tokenization import tokenize_pairs

run_job(snakemake, tokenize_pairs)
