"""Copies of the outputs of long jobs, kept until Snakemake has accepted the outputs.

If Snakemake is interrupted or killed in the last seconds of a job, it removes the job's outputs.
Trainings and evaluations therefore keep a copy of `results/A/B/C` in `results/A/work/B/C` or
`results/A/B/work/C`, which no rule declares. The next job restores its results from there within
seconds. A successful workflow deletes the copies, so that `--forcerun` computes again.
"""

from pathlib import Path

from lamini.paths import ANSWERS, CHECKPOINT, EVALUATION

STAGES = tuple(Path(path).parts[1] for path in (CHECKPOINT, EVALUATION, ANSWERS))
"""Folders of results whose jobs keep copies of their outputs."""
_INCOMPLETE = Path("incomplete")
"""Snakemake's folder with a marker for each output of an unfinished job."""


def forget_accepted(results: str | Path, snakemake: str | Path = ".snakemake") -> list[Path]:
    """Delete the copies of accepted outputs; returns the deleted files.

    State of unfinished jobs (checkpoints, answers) has no matching output and is kept.

    Args:
        results: folder of all artifacts.
        snakemake: Snakemake's own folder. If it has a marker of an unfinished job of another run,
            nothing is deleted.
    """
    if any((Path(snakemake) / _INCOMPLETE).glob("*")):
        return []
    removed = []
    for stage in STAGES:
        for work in sorted((Path(results) / stage).glob("**/work")):
            for kept in sorted(work.rglob("*")):
                if kept.is_file() and (work.parent / kept.relative_to(work)).is_file():
                    kept.unlink()
                    removed.append(kept)
    return removed
