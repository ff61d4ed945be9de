"""What a run will cost, before a request is sent or a GPU is used: `make plan`.

Estimated from the lengths that the paper's Table 1 has, until the run's own files say better.
"""
