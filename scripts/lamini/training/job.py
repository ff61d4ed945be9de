"""What one training run is: the rule's settings, checked."""

import json
from pathlib import Path

from pydantic import ValidationError

from lamini.errors import SettingsError
from lamini.files import sha256_file, stable_hash
from lamini.settings.params import TrainModel


class TrainingJob(TrainModel):
    """One student's training run."""

    @classmethod
    def from_json(cls, settings: str, speed: str = "{}") -> "TrainingJob":
        """Check the settings given on the command line.

        Args:
            settings: all that the result depends on.
            speed: fields of the recipe that it does not depend on.

        Raises:
            SettingsError: names what is wrong with them.
        """
        try:
            fields = json.loads(settings)
            return cls.model_validate({**fields, "recipe": fields["recipe"] | json.loads(speed)})
        except (json.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
            raise SettingsError(f"--settings, --speed: {error}") from None

    def input_manifests(self, tokenized: str | Path) -> list[Path]:
        """The manifests of what the run reads; a model from the hub has none."""
        candidates = [Path(tokenized), Path(self.initialization.path)]
        return [p / "manifest.json" for p in candidates if (p / "manifest.json").is_file()]

    def fingerprint(self, tokenized: str | Path) -> str:
        """Equal for two runs that compute the same: one may go on from the other's checkpoint."""
        inputs = [sha256_file(path) for path in self.input_manifests(tokenized)]
        return stable_hash(self.as_params(), inputs)
