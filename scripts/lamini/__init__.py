"""LaMini-LM as a pipeline: the logic behind every rule, importable and tested without Snakemake."""

__version__ = "0.1.0"
