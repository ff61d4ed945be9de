"""What one training run is: the rule's settings, checked."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lamini.errors import SettingsError
from lamini.files import sha256_file, stable_hash
from lamini.settings.base import Settings
from lamini.settings.students import Architecture, Recipe

# What changes how fast or how safely a run goes, and not what it computes: a run may be stopped,
# these changed, and the run gone on with.
_WITHOUT_EFFECT = (
    "tokens_per_micro_batch",
    "save_minutes",
    "gradient_checkpointing",
    "shard_optimizer",
)


class Location(Settings):
    """Where a model or tokenizer is."""

    path: str
    """Folder or hub id."""
    revision: str | None = None
    """Commit or tag on the hub."""


class TrainingJob(Settings):
    """One student's training run."""

    model: str
    name: str
    architecture: Architecture
    family: str
    initialization: Location
    tokenizer: Location
    prompt_format: str
    pad_token: str | None
    recipe: Recipe

    @classmethod
    def from_json(cls, text: str) -> "TrainingJob":
        """Check the settings given on the command line.

        Raises:
            SettingsError: names what is wrong with them.
        """
        try:
            return cls.model_validate(json.loads(text))
        except (json.JSONDecodeError, ValidationError) as error:
            raise SettingsError(f"--settings: {error}") from None

    def input_manifests(self, tokenized: str | Path) -> list[Path]:
        """The manifests of what the run reads; a model from the hub has none."""
        candidates = [Path(tokenized), Path(self.initialization.path)]
        return [p / "manifest.json" for p in candidates if (p / "manifest.json").is_file()]

    def fingerprint(self, tokenized: str | Path) -> str:
        """Equal for two runs that compute the same: one may go on from the other's checkpoint."""
        settings: dict[str, Any] = self.as_params()
        for key in _WITHOUT_EFFECT:
            settings["recipe"].pop(key)
        return stable_hash(settings, [sha256_file(p) for p in self.input_manifests(tokenized)])
