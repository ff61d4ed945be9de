"""Write an encoder-decoder student as a folder of CTranslate2."""

from lamini.exports.ctranslate2_folder import export_ctranslate2
from lamini.jobs import run_job

run_job(snakemake, export_ctranslate2)
