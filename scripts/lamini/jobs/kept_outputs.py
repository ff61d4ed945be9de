"""What long jobs have finished, kept until Snakemake has accepted their outputs.

Snakemake removes the outputs of a job whose end it did not see: it was interrupted, or killed, in
the job's last seconds. So trainings and evaluations keep a copy of what would be removed where no
rule declares anything: of `results/A/B/C` in `results/A/work/B/C` or `results/A/B/work/C`. The next
job takes its results from there, within seconds. A workflow that ends well drops the copies, so
that `--forcerun` computes again.
"""

from pathlib import Path

STAGES = ("checkpoints", "evals", "answers")
"""Folders of results whose jobs keep their finished work."""
_UNSEEN = Path("incomplete")
"""Snakemake's folder of a marker for each output whose job's end it has not seen."""


def forget_accepted(results: str | Path, snakemake: str | Path = ".snakemake") -> list[Path]:
    """Remove the copies of outputs that are there and accepted; returns what was removed.

    Unfinished work (checkpoints, answers of a stopped job) has no such output, and stays.

    Args:
        results: the folder of all artifacts.
        snakemake: Snakemake's own folder. While it holds a marker of an output whose job another
            run has left behind, nothing is removed.
    """
    if any((Path(snakemake) / _UNSEEN).glob("*")):
        return []
    removed = []
    for stage in STAGES:
        for work in sorted((Path(results) / stage).glob("**/work")):
            for kept in sorted(work.rglob("*")):
                if kept.is_file() and (work.parent / kept.relative_to(work)).is_file():
                    kept.unlink()
                    removed.append(kept)
    return removed
