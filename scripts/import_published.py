"""Import the released dataset instead of a generated one."""

from lamini.dataset.published import import_published
from lamini.jobs import run_job

run_job(snakemake, import_published)
