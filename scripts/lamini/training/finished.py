"""Copies of a finished training, kept until Snakemake accepts it (`lamini.jobs.kept_outputs`).

Snakemake may delete declared outputs. In `final/` these are the manifest and the metrics, so both
are copied; the weights are not declared and stay.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from lamini.files import copy_file, damage_of, read_json, write_json
from lamini.training.export import METRICS

logger = logging.getLogger("lamini")


def keep_finished(output: Path, fingerprint: str) -> None:
    """Copy the declared files of `output/final` to `output/work/final`.

    Args:
        output: the run's folder with a complete `final/`.
        fingerprint: fingerprint of the run (`TrainingJob.fingerprint`).
    """
    final, kept = output / "final", output / "work" / "final"
    kept.mkdir(parents=True, exist_ok=True)
    copy_file(final / METRICS, kept / METRICS)
    manifest = read_json(final / "manifest.json")
    write_json(kept / "manifest.json", {"made_from": fingerprint, "result": manifest})


def take_finished(output: Path, fingerprint: str) -> bool:
    """Restore `output/final` from the copies; returns whether it is complete and of this run.

    The weights are checked against the manifest. Copies that do not match are deleted.
    """
    final, kept = output / "final", output / "work" / "final"
    if not (kept / "manifest.json").is_file():
        return False
    facts = read_json(kept / "manifest.json")
    manifest = facts["result"]
    if facts["made_from"] != fingerprint or not _complete(final, kept, manifest):
        shutil.rmtree(kept)
        return False
    write_json(final / "manifest.json", manifest)
    logger.info("finished by an earlier run that Snakemake did not record: %s", final)
    return True


def _complete(final: Path, kept: Path, manifest: dict[str, Any]) -> bool:
    """Restore the metrics; returns whether all files match the manifest."""
    try:
        copy_file(kept / METRICS, final / METRICS)
        return damage_of(final, manifest["files"]) is None
    except OSError:
        return False
