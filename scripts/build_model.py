"""Build a reference model: random weights, or the weights of a GGUF file."""

from lamini.jobs import run_job
from lamini.students.pretrained import build_model

run_job(snakemake, build_model)
