"""Settings of one training run, validated."""

import json
from pathlib import Path

from pydantic import ValidationError

from lamini.errors import SettingsError
from lamini.files import sha256_file
from lamini.jobs.unfinished import work_key
from lamini.settings.params.students import TrainModel


class TrainingJob(TrainModel):
    """Settings of one student's training run."""

    @classmethod
    def from_json(cls, settings: str, speed: str = "{}", name: str = "") -> "TrainingJob":
        """Validate the settings from the command line.

        Args:
            settings: JSON of the settings that change the result.
            speed: JSON of the recipe's fields that change only the speed.
            name: title of the model card.

        Raises:
            SettingsError: when a setting is missing or invalid; the message names it.
        """
        try:
            fields = json.loads(settings)
            recipe = fields["recipe"] | json.loads(speed)
            return cls.model_validate({"name": name, **fields, "recipe": recipe})
        except (json.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
            raise SettingsError(f"--settings, --speed: {error}") from None

    def input_manifests(self, tokenized: str | Path) -> list[Path]:
        """Paths of the input folders' manifests; a model from the hub has none."""
        candidates = [Path(tokenized), Path(self.initialization.path)]
        return [p / "manifest.json" for p in candidates if (p / "manifest.json").is_file()]

    def fingerprint(self, tokenized: str | Path) -> str:
        """Hash of settings, input manifests and code (`work_key`).

        A run resumes only from a checkpoint with the same fingerprint.
        """
        inputs = [sha256_file(path) for path in self.input_manifests(tokenized)]
        return work_key("train_model", self.as_params(), inputs)
