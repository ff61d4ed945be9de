"""How a score depends on the size of the data, the seed and the examples (`sweeps`)."""
