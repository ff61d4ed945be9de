"""Check the rating files of people, join the judge's verdicts, and measure agreement."""

from lamini.human_evaluation.collection import collect_ratings
from lamini.job import start_job

start_job(snakemake.log[0], f"collect_ratings {snakemake.wildcards.study}")
collect_ratings(
    items=snakemake.input.rated,
    key=snakemake.input.key,
    verdicts=list(snakemake.input.verdicts),
    rating_files=list(snakemake.input.ratings),
    ratings=snakemake.output.ratings,
    summary=snakemake.output.summary,
    settings=snakemake.params.settings,
)
