"""Count samples and tokens, and measure lexical diversity, per source and in all."""

from lamini.analysis.statistics import measure_dataset
from lamini.job import start_job

start_job(snakemake.log[0], f"measure_dataset {snakemake.wildcards.mixture}")
settings = snakemake.params.settings
measure_dataset(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    statistics=snakemake.output.statistics,
    diversity=snakemake.output.diversity,
    quality=snakemake.output.quality,
    lengths=snakemake.output.lengths,
    settings=settings,
    seed=settings["seed"],
)
