"""Count the topics shown in topic-guided prompts, and the topics named in their instructions."""

from lamini.analysis.topic_coverage import measure_topic_coverage
from lamini.jobs import run_job

run_job(snakemake, measure_topic_coverage)
