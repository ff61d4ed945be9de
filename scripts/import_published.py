"""Read the released dataset in place of a generated one."""

from lamini.dataset.published import import_published
from lamini.job import start_job

start_job(snakemake.log[0], f"import_published {snakemake.wildcards.mixture}")
import_published(
    hits=snakemake.input.hits,
    dataset=snakemake.output.dataset,
    manifest=snakemake.output.manifest,
    card=snakemake.output.card,
    settings=snakemake.params.settings,
)
