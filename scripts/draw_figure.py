"""Draw one figure."""

from lamini.figures.draw import draw_figure
from lamini.jobs import run_job

run_job(snakemake, draw_figure)
