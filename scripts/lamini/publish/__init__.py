"""Publishing: what of `results/` goes to a model hub, with which card, and its upload."""
