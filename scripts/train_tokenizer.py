"""Train a tokenizer on a mixture's text."""

from lamini.jobs import run_job
from lamini.students.tokenizers import train_tokenizer

run_job(snakemake, train_tokenizer)
