"""Check of a SLURM site before the first run: `make check-site`."""
