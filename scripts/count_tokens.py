"""Count the tokens of a dataset with one of the tokenizers that are compared."""

from lamini.analysis.token_counts import count_tokens
from lamini.job import start_job

start_job(snakemake.log[0], f"count_tokens {snakemake.wildcards.tokenizer}")
count_tokens(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    counts=snakemake.output.counts,
    settings=snakemake.params.settings,
)
