"""Count the topics that the topic-guided instructions were shown, and those that they reach."""

from lamini.analysis.topic_coverage import measure_topic_coverage
from lamini.jobs import run_job

run_job(snakemake, measure_topic_coverage)
