"""Result of the check of an exported file: its JSON, read by the table, the card and publishing."""

from lamini.json_file import JsonFile


class ExportCheck(JsonFile):
    """Content of `results/exports/{model}/{type}.json`."""

    model: str
    """Key of the student in the configuration."""
    type: str
    """Type of the weights, such as `q4_k_m` or `int8`."""
    program: str
    """Program that ran the file, with its version."""
    file: str
    """Name of the file, or of the manifest of the folder, below the student's folder of exports."""
    sha256: str
    """SHA-256 of this file."""
    bytes: int
    """Size of the file, or of all files of the folder."""
    instructions: int
    """Number of user-oriented instructions that were answered."""
    tokens: int
    """Greedy tokens of the checkpoint, end tokens included, over all instructions."""
    equal_tokens: int
    """Number of them that the file also chooses, each after the checkpoint's tokens before it."""
    equal_answers: int
    """Instructions with equal tokens only."""
    equal_prompts: int | None
    """Prompts that the file's own tokenizer splits in the same tokens; null: it has none."""
    task: str
    metric: str
    examples: int
    score: float
    """Score of the file on the task, times 100."""
    checkpoint_score: float
    """Score of the checkpoint on the same requests, as in the tables."""
    checkpoint_precision: str
    """Number format in which the checkpoint was evaluated."""
    equal_examples: int
    """Examples with the same metric as the checkpoint's."""
    shortened: int
    """Requests that were truncated at the start, because llama.cpp keeps one position free."""

    @property
    def token_share(self) -> float:
        """Share of equal greedy tokens, 0 to 1."""
        return self.equal_tokens / self.tokens

    @property
    def change(self) -> float:
        """Score of the file minus that of the checkpoint; a loss is negative."""
        return self.score - self.checkpoint_score
