"""Code that all jobs share: start of the log, arguments from the rule, provenance record."""

from lamini.jobs.run import run_job

__all__ = ["run_job"]
