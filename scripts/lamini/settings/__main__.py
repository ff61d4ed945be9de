"""Write `config/schema.json` and `docs/settings.md` from the settings models, or check them.

`python -m lamini.settings` checks; with `--fix` it writes.
"""

import json
import sys
from pathlib import Path
from typing import cast

from lamini.files import atomic_writer
from lamini.settings import Config
from lamini.settings.reference import JsonSchema, settings_page

SCHEMA = Path("config/schema.json")
REFERENCE = Path("docs/settings.md")


def generated_texts() -> dict[Path, str]:
    """Files that are made from the models: the JSON schema, and the page of all settings."""
    schema = Config.model_json_schema()
    return {
        SCHEMA: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        REFERENCE: settings_page(cast("JsonSchema", schema)),
    }


def main(arguments: list[str]) -> int:
    """Check or write the files; returns the exit code."""
    texts = generated_texts()
    if "--fix" in arguments:
        for path, text in texts.items():
            with atomic_writer(path) as handle:
                handle.write(text)
        return 0
    stale = [
        path
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        print(f"{path} is out of date: run `python -m lamini.settings --fix`", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
