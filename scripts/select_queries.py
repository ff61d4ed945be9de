"""Choose the unique instructions of one source, and split them into shards."""

from pathlib import Path

from lamini.generation.queries import select_queries
from lamini.job import start_job

settings = snakemake.params.settings
start_job(snakemake.log[0], f"select_queries {settings['source']}")
select_queries(
    inputs=[Path(path) for path in snakemake.input],
    queries=[Path(path) for path in snakemake.output if path != snakemake.output.funnel],
    funnel=Path(snakemake.output.funnel),
    settings=settings,
)
