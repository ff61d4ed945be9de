"""Merge the pair shards of a mixture's sources into one dataset."""

from lamini.dataset.merge import merge_pairs
from lamini.job import start_job

start_job(snakemake.log[0], f"merge_pairs {snakemake.wildcards.mixture}")
merge_pairs(
    pairs=snakemake.input.pairs,
    hits=snakemake.input.hits,
    dataset=snakemake.output.dataset,
    manifest=snakemake.output.manifest,
    card=snakemake.output.card,
    settings=snakemake.params.settings,
)
