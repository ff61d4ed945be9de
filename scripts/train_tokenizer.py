"""Train a tokenizer on the text of a mixture."""

from lamini.jobs import run_job
from lamini.students.tokenizers import train_tokenizer

run_job(snakemake, train_tokenizer)
