"""The report: one self-contained page with every table and figure of a run."""
