"""Manifest of a trained model: what tables and the model card tell of its training."""

from lamini.json_file import JsonFile


class InitialWeights(JsonFile):
    """Location of the weights that training starts from."""

    path: str
    """Folder or hub id."""
    revision: str | None
    """Commit or tag on the hub."""


class AdapterSize(JsonFile):
    """Size of a LoRA adapter (`training.adapter`)."""

    parameters_trained: int
    """Parameters of the adapter."""
    parameters_frozen: int
    """Parameters of the model without its adapter."""
    modules: list[str]
    """Last parts of the names of the modules with an adapter."""


class TrainingSample(JsonFile):
    """The share of the training pairs that was trained on (`training.samples`)."""

    share: float
    """Share of each source's training pairs."""
    seed: int
    """Seed of the draw; a smaller share of the same seed is part of it."""
    pairs_not_sampled: int
    """Number of training pairs that are not in the share."""
    pairs_by_source: dict[str, int]
    """Number of pairs in the share, by source."""


class TrainingManifest(JsonFile):
    """Content of `results/checkpoints/{model}/final/manifest.json`, without its list of files.

    Losses are in nats per supervised token.
    """

    model: str
    """Key of the student in the configuration."""
    initialization: InitialWeights
    steps: int
    """Number of optimizer steps."""
    steps_planned: int | None = None
    """Number of steps without an early stop; null: the recipe has no `patience`."""
    kept_step: int | None = None
    """Step of the exported weights (`keep: best`); null: the last one."""
    kept_epoch: float | None = None
    """Epoch that ends with `kept_step`."""
    adapter: AdapterSize | None = None
    """Null: all weights were trained."""
    sample: TrainingSample | None = None
    """Null: all training pairs were used."""
    steps_skipped: int | None = None
    """Steps that changed no weight, because fp16 overflowed; null in manifests of earlier
    versions."""
    loss_first: float
    loss_last: float
    held_out_before: float | None
    """Loss on the held-out pairs; null without held-out pairs."""
    held_out_after: float | None
    """The same loss with the exported weights."""
    pairs_used: int
    pairs_held_out: int
    pairs_left_out: dict[str, int]
    """Number of excluded pairs by reason."""
    supervised_tokens: int
    """Number of tokens with a loss, over all steps."""
    tokens: int
    """Number of tokens without padding, over all steps."""
    dataset_sha256: str
    hub_commits: dict[str, str | None] | None = None
    """Commits of the initial model and tokenizer (`lamini.jobs.commits`); null: none is from the
    hub."""
    way: str | None = None
    """Way of computation (`lamini.forward.proof`); null in manifests of version 0.1.0."""
    refused_ways: dict[str, str] | None = None
    """Reason of refusal of each faster way; null: none was refused."""

    @property
    def stopped_early(self) -> bool:
        """Whether the run ended early, because the held-out loss did not fall any more."""
        return self.steps_planned is not None and self.steps < self.steps_planned
