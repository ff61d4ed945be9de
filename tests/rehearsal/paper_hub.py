"""A hub with all that a configuration names, and with nothing else.

A repository has the revision that the configuration reads, and no other: a pinned one has that
commit alone, without a branch. Whatever else is asked of it is in `Hub.public.refused`.
"""

import hashlib

from hub import Hub
from hub_data import data_files
from hub_models import model_files

from lamini.pins import Reading, readings_of
from lamini.settings.root import Config


def commit_of(reading: Reading) -> str:
    """Commit at which the stand-in has a revision: the pin, or one made of the name."""
    return reading.revision if reading.pinned else made_commit(reading.repo)


def made_commit(repo: str) -> str:
    """A commit for a repository whose revision is a branch."""
    return hashlib.sha1(repo.encode()).hexdigest()


def paper_hub(config: Config) -> Hub:
    """The stand-in for everything that a configuration reads.

    Raises:
        KeyError: the configuration names a repository that the stand-in does not know.
    """
    hub = Hub()
    for reading in sorted(set(readings_of(config))):
        files = data_files(reading.repo) if reading.kind == "dataset" else model_files(reading.repo)
        name = f"datasets/{reading.repo}" if reading.kind == "dataset" else reading.repo
        branch = None if reading.pinned else reading.revision
        hub.public.add(name, commit_of(reading), files, branch)
    return hub
