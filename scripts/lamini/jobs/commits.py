"""Commits of the hub repositories that a job reads, for its provenance record.

A branch such as `main` moves. A job therefore resolves each revision to a commit before it reads
the repository, reads that commit, and records it.
"""

import logging
import os
from pathlib import Path
from typing import Literal

HUB_COMMITS = "hub_commits"
"""Name of the fact, in records and in the manifests of students."""
logger = logging.getLogger("lamini")
_read: dict[str, str | None] = {}


def commit_to_read(
    repo: str, revision: str | None, kind: Literal["model", "dataset"] = "model"
) -> str | None:
    """Commit of a revision now; it is recorded as read by this job.

    Without a network, this is the commit of the revision in the hub's local cache.

    Args:
        repo: repository on the hub. A local folder or file has no commits.
        revision: commit, tag or branch; null: `main`.
        kind: `dataset` repositories have their own namespace on the hub.

    Returns:
        The commit. `revision` itself for a local path, and for a repository that cannot be
        reached: loading it then fails with its own message, or reads another cache.
    """
    if Path(repo).exists():
        return revision
    from huggingface_hub import HfApi

    # For weights in PyTorch's files, transformers would in the background read the branch `main`,
    # and ask a public service to propose safetensors files to the repository.
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    wanted = revision or "main"
    try:
        commit = HfApi().resolve_revision(repo, repo_type=kind, revision=wanted).resolved
    except Exception as error:  # the hub's client raises dozens of types
        logger.info("%s at %s: the commit is not known (%s)", repo, wanted, error)
        commit = None
    name = f"datasets/{repo}" if kind == "dataset" else repo
    _read[f"{name}@{wanted}"] = commit
    return commit or revision


def forget_commits() -> None:
    """Forget what this process has read, at the start of a job."""
    _read.clear()


def commits_read() -> dict[str, str | None]:
    """Commits that this job has read so far, by `REPO@REVISION`, as in the hub's URLs.

    Null: the commit is not known.
    """
    return dict(sorted(_read.items()))
