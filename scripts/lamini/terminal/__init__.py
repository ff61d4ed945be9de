"""The terminal during a run: one line per job, one line for the run, and a last screen.

`scripts/snakemake_logger_plugin_lamini` connects this folder to Snakemake.
"""
