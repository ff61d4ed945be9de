"""Write a merged dataset as a hub folder and as JSON lines."""

from lamini.dataset.export import export_dataset
from lamini.job import start_job

start_job(snakemake.log[0], f"export_dataset {snakemake.wildcards.mixture}")
export_dataset(
    manifest=snakemake.input.manifest,
    dataset=snakemake.input.dataset,
    card=snakemake.input.card,
    readme=snakemake.output.readme,
    parquet=snakemake.output.parquet,
    jsonl=snakemake.output.jsonl,
    settings=snakemake.params.settings,
)
