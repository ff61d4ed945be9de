"""The merged dataset, from pair shards or from the released dataset."""
