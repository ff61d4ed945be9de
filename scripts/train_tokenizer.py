"""Train a tokenizer on a mixture's text."""

from pathlib import Path

from lamini.job import start_job
from lamini.provenance import record_provenance
from lamini.settings.students import TrainedTokenizer
from lamini.students.tokenizers import train_tokenizer

start_job(snakemake.log[0], f"train_tokenizer {snakemake.wildcards.tokenizer}")
settings = snakemake.params.settings
output = snakemake.output.manifest
train_tokenizer(snakemake.input.dataset, TrainedTokenizer(**settings["train"]), Path(output).parent)
record_provenance(
    output, rule="train_tokenizer", settings=settings, inputs=[snakemake.input.manifest]
)
