"""Publishing of datasets and models on a hub: files of `results/`, their card, and the upload."""
