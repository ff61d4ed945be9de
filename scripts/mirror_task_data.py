"""Copy the examples of one task from the hub, for clusters without a network."""

from lamini.evaluation.data import mirror_examples
from lamini.job import start_job
from lamini.settings.evaluation import TaskData

start_job(snakemake.log[0], f"mirror_task_data {snakemake.wildcards.path}")
mirror_examples(TaskData.model_validate(snakemake.params.settings), snakemake.output[0])
