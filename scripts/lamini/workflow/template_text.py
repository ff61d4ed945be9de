"""Templates that settings name: their text is one of the params, so an edit remakes results."""

from pathlib import Path

from lamini.errors import SettingsError
from lamini.files import resolve_path
from lamini.paths import of_project


def template_text(path: str, setting: str) -> str:
    """Text of a template.

    Args:
        path: `package:NAME/FILE`, or a file in the run's folder, else in the project's root.
        setting: name of the setting, for the message.

    Raises:
        SettingsError: if there is no such file.
    """
    try:
        return Path(of_project(str(resolve_path(path)))).read_text(encoding="utf-8")
    except OSError:
        raise SettingsError(f"{setting}: {path}: no such file") from None
