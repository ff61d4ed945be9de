"""Read the seed prompts of one source."""

from lamini.generation.prompts import prepare_prompts
from lamini.job import start_job
from lamini.settings.sources import SeedData

start_job(snakemake.log[0], f"prepare_prompts {snakemake.wildcards.source}")
settings = snakemake.params.settings
prepare_prompts(
    prompts=snakemake.output.prompts,
    funnel=snakemake.output.funnel,
    seeds=SeedData.model_validate(settings["seeds"]),
    samples=settings["samples"],
    seed=settings["seed"],
    settings=settings,
)
