"""A finished training, kept until Snakemake has accepted it (`lamini.finished`).

Of `final/` Snakemake declares, and so may remove, the manifest and the metrics; the weights stay.
"""

import logging
import shutil
from pathlib import Path

from lamini.files import atomic_writer, read_json, sha256_file, write_json
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
    with atomic_writer(kept / METRICS, "wb") as handle:
        handle.write((final / METRICS).read_bytes())
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
    if facts["made_from"] != fingerprint or not _whole(final, kept / METRICS, manifest["files"]):
        shutil.rmtree(kept)
        return False
    with atomic_writer(final / METRICS, "wb") as handle:
        handle.write((kept / METRICS).read_bytes())
    write_json(final / "manifest.json", manifest)
    logger.info("finished by an earlier run, whose end Snakemake did not see: %s", final)
    return True


def _whole(final: Path, metrics: Path, files: dict[str, dict[str, str]]) -> bool:
    """Whether all files are there, with the checksums of the manifest."""
    for name, expected in files.items():
        path = metrics if name == METRICS else final / name
        if not path.is_file() or sha256_file(path) != expected["sha256"]:
            return False
    return True
