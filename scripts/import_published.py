"""Read the released dataset in place of a generated one."""

from lamini.dataset.published import import_published
from lamini.jobs import run_job

run_job(snakemake, import_published)
