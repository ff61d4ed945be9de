"""Draw one figure of the paper, or of the run."""

from lamini.figures.draw import draw_figure
from lamini.job import start_job

start_job(snakemake.log[0], f"draw_figure {snakemake.wildcards.figure}")
draw_figure(
    snakemake.wildcards.figure,
    inputs=dict(snakemake.input.items()),
    params=snakemake.params.settings,
    outputs=dict(snakemake.output.items()),
)
