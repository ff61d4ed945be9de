"""Write one annotation page per annotator of a study."""

from lamini.human_evaluation.sheets import make_rating_sheets
from lamini.jobs import run_job

run_job(snakemake, make_rating_sheets)
