"""Write a decoder-only student as a GGUF file."""

from lamini.exports.gguf_model import export_gguf
from lamini.jobs import run_job

run_job(snakemake, export_gguf)
