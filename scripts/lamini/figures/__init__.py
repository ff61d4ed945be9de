"""Figures of the paper and of the run, as PDF, PNG, and a CSV of the plotted data."""
