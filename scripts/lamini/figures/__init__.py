"""Figures of the paper and of the run, as PDF, PNG, and the CSV that each was drawn from."""
