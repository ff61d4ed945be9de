"""Write `config/schema.json` from the settings models, or check that it is in sync.

`python -m lamini.settings` checks; with `--fix` it writes.
"""

import json
import sys
from pathlib import Path

from lamini.files import atomic_writer
from lamini.settings import Config

SCHEMA = Path("config/schema.json")


def schema_text() -> str:
    """JSON schema of the configuration, formatted as in the repository."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Check or write the schema; returns the exit code."""
    if "--fix" in arguments:
        with atomic_writer(SCHEMA) as handle:
            handle.write(schema_text())
        return 0
    if not SCHEMA.exists() or SCHEMA.read_text(encoding="utf-8") != schema_text():
        print(f"{SCHEMA} is out of date: run `python -m lamini.settings --fix`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
