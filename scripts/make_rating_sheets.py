"""Write one annotation page for each annotator of a study."""

from lamini.human_evaluation.sheets import make_rating_sheets
from lamini.job import start_job

settings = snakemake.params.settings
start_job(snakemake.log[0], f"make_rating_sheets {settings['study']}")
make_rating_sheets(
    items=snakemake.input.rated, sheets=list(snakemake.output.sheets), settings=settings
)
