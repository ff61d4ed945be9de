"""LaMini-LM as a pipeline: the code of all rules, importable and testable without Snakemake."""

__version__ = "0.1.0"
