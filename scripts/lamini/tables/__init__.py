"""Tables of the paper and of the run, as CSV, Markdown, LaTeX, and JSON for the report."""
