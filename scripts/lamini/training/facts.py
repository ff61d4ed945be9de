"""Facts of a finished training run: in the manifest of its model, for tables and the model card."""

from lamini.json_file import JsonFile


class InitialWeights(JsonFile):
    """Location of the weights that training starts from."""

    path: str
    """Folder or hub id."""
    revision: str | None
    """Commit or tag on the hub."""


class TrainingFacts(JsonFile):
    """Content of `results/checkpoints/{model}/final/manifest.json`, without its list of files.

    Losses are in nats per supervised token.
    """

    model: str
    """Key of the student in the configuration."""
    initialization: InitialWeights
    steps: int
    """Number of optimizer steps."""
    steps_skipped: int | None = None
    """Steps that changed no weight, because fp16 overflowed; null in manifests of earlier
    versions."""
    loss_first: float
    loss_last: float
    held_out_before: float | None
    """Loss on the held-out pairs; null without held-out pairs."""
    held_out_after: float | None
    pairs_used: int
    pairs_held_out: int
    pairs_left_out: dict[str, int]
    """Number of excluded pairs by reason."""
    supervised_tokens: int
    """Number of tokens with a loss, over all steps."""
    tokens: int
    """Number of tokens without padding, over all steps."""
    dataset_sha256: str
    way: str | None = None
    """Way of computation (`lamini.forward.proof`); null in manifests of earlier versions."""
    refused_ways: dict[str, str] | None = None
    """Reason of refusal of each faster way; null: none was refused."""
