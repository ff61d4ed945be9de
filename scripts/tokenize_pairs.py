"""Tokenise a mixture once for all models of a tokenizer."""

from pathlib import Path

from lamini.job import start_job
from lamini.provenance import record_provenance
from lamini.students.tokenization import tokenize_pairs

name = f"{snakemake.wildcards.mixture}/{snakemake.wildcards.tokenizer}"
start_job(snakemake.log[0], f"tokenize_pairs {name}")
settings = snakemake.params.settings
location, wrapper, pad = (settings[k] for k in ("tokenizer", "prompt_format", "pad_token"))
output = snakemake.output.manifest
tokenize_pairs(snakemake.input.dataset, location, wrapper, pad, Path(output).parent)
inputs = [snakemake.input.manifest, *snakemake.input.tokenizer]
record_provenance(output, rule="tokenize_pairs", settings=settings, inputs=inputs)
