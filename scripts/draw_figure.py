"""Draw one figure of the paper, or of the run."""

from lamini.figures.draw import draw_figure
from lamini.jobs import run_job

run_job(snakemake, draw_figure)
