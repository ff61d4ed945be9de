"""Count the topics that the topic-guided instructions were shown, and those that they reach."""

from lamini.analysis.topic_coverage import measure_topic_coverage
from lamini.job import start_job

start_job(snakemake.log[0], "measure_topic_coverage")
measure_topic_coverage(
    topics=snakemake.input.topics,
    instructions=snakemake.input.instructions,
    coverage=snakemake.output.coverage,
    settings=snakemake.params.settings,
)
