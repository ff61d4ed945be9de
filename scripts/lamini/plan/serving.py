"""Estimated time of a local server on a GPU.

Reading a prompt is limited by matrix products. Writing an answer reads all weights once per token,
for all requests of the batch together (Pope et al. 2023, section 2). The estimate is for weights of
two bytes; finished shards hold measured times (`make cost`).
"""

from lamini.settings.teacher import LocalServer
from lamini.training.gpus import Gpu

_SHARE = 0.35
"""Share of the hardware's speed that a server reaches with answers of unequal length. A model with
8 billion parameters then writes 2,500 tokens a second on an A100 if answers are as long as prompts,
in the range of published benchmarks of vLLM."""
_BYTES = 2
START_SECONDS = 180
"""Time until a server of a model with some billion parameters is ready."""


def serving_seconds(
    gpu: Gpu, server: LocalServer, prompt_tokens: float, completion_tokens: float
) -> float | None:
    """Estimated GPU-seconds of answering requests; None if the number of parameters is unknown.

    Args:
        gpu: the GPU model.
        server: its number of parameters and of parallel requests.
        prompt_tokens: tokens of all prompts.
        completion_tokens: tokens of all answers.
    """
    if server.parameters is None:
        return None
    per_token = 2 * server.parameters / gpu.peak
    per_step = _BYTES * server.parameters / gpu.bandwidth / server.slots
    work = (prompt_tokens + completion_tokens) * per_token + completion_tokens * per_step
    return work / _SHARE


def fits_on(memory_gb: float, server: LocalServer) -> bool:
    """Whether the weights leave a fifth of the memory of the server's GPUs for the requests.

    Args:
        memory_gb: memory of one GPU, in GB.
        server: its number of parameters and GPUs.
    """
    return _BYTES * (server.parameters or 0) <= 0.8e9 * memory_gb * server.gpus
