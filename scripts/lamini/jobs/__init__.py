"""What all jobs share: their start, the arguments from their rule, the record of what they made."""

from lamini.jobs.run import run_job

__all__ = ["run_job"]
