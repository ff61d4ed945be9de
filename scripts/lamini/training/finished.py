"""A finished training, kept until Snakemake has accepted it (`lamini.jobs.kept_outputs`).

Of `final/` Snakemake declares, and so may remove, the manifest and the metrics; the weights stay.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from lamini.files import copy_file, damage_of, read_json, write_json
from lamini.training.export import METRICS

logger = logging.getLogger("lamini")


def keep_finished(output: Path, fingerprint: str) -> None:
    """Keep copies of the declared files of `output/final` in `output/work/final`.

    Args:
        output: the run's folder, its `final/` complete.
        fingerprint: of what the run computed.
    """
    final, kept = output / "final", output / "work" / "final"
    kept.mkdir(parents=True, exist_ok=True)
    copy_file(final / METRICS, kept / METRICS)
    manifest = read_json(final / "manifest.json")
    write_json(kept / "manifest.json", {"made_from": fingerprint, "result": manifest})


def take_finished(output: Path, fingerprint: str) -> bool:
    """Complete `output/final` from its copies; whether it is now what the run would compute.

    The weights are checked against the manifest; a copy that does not fit is removed.
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
    logger.info("finished by an earlier run, whose end Snakemake did not see: %s", final)
    return True


def _complete(final: Path, kept: Path, manifest: dict[str, Any]) -> bool:
    """Bring the metrics back; whether all files are then as the manifest says."""
    try:
        copy_file(kept / METRICS, final / METRICS)
        return damage_of(final, manifest["files"]) is None
    except OSError:
        return False
