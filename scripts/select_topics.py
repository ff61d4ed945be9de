"""Keep the common topics of a Wikipedia dump."""

from lamini.generation.topics import select_topics
from lamini.job import start_job
from lamini.settings.sources import Topics

start_job(snakemake.log[0], "select_topics")
select_topics(
    dump=snakemake.input.dump,
    topics=snakemake.output.topics,
    funnel=snakemake.output.funnel,
    settings=Topics.model_validate(snakemake.params.settings["topics"]),
)
