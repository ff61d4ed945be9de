"""Report of a finished shard: the counts that plan, status and costs read."""

from lamini.json_file import JsonFile


class ShardReport(JsonFile):
    """Common content of `results/instructions/` and `results/pairs/{source}/{shard}.report.json`.

    Tokens are those that were paid for: of all answers, of their discarded replies, and of unused
    answers. Those of batches, which cost less, are part of the totals.
    """

    stage: str
    """`instructions` or `pairs`."""
    source: str
    shard: str
    wanted: int
    """Number of instructions or responses to make."""
    accepted: int
    requests: int
    """Number of requests, each counted once, however often it was sent."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Prompt tokens from the endpoint's cache; omitted if there are none."""
    batch_prompt_tokens: int = 0
    batch_completion_tokens: int = 0
    batch_cached_tokens: int = 0
    finish_reasons: dict[str, int]
    """Number of answers by finish reason."""
    asked_model: str
    """The model's name in the requests."""
    choice: str = ""
    """Choice among several answers to each query, and number of turns, such as `best of 4 by judge,
    2 turns`; omitted with one of each."""
    models: dict[str, int]
    """Number of answers by the model's name in the reply."""
