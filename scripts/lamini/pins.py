"""`make pins`: repositories of the hub that the configuration names, and whether they are pinned.

A repository is pinned if its revision is a commit, so that every run reads the same files.
`python -m lamini.pins` also asks the hub (HF_ENDPOINT) whether branch `main` has moved on from a
pinned commit, and for the current commit of each branch that is read. `--configfile` and `--config`
overlay the configuration as in Snakemake.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lamini.command import add_config_arguments, read_config, run_command
from lamini.settings.root import Config
from lamini.text_table import text_table
from lamini.workflow import Workflow

MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_TIMEOUT_SECONDS = 10.0
_REQUESTS_AT_ONCE = 8


@dataclass(frozen=True, order=True)
class Reading:
    """A revision of a repository that the configuration reads."""

    kind: Literal["dataset", "model"]
    repo: str
    revision: str
    """Commit, tag or branch."""

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit."""
        return _COMMIT.fullmatch(self.revision) is not None


class _Unreachable(Exception):
    """The hub cannot be reached; the message is the reason."""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code, which is 0 also for repositories without a pin."""
    parser = argparse.ArgumentParser("python -m lamini.pins", description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(
        lambda: _show(Workflow(read_config(parsed.configfile, parsed.config)).config)
    )


def _show(config: Config) -> None:
    """Print one row per reading, those without a pin first, and a summary."""
    readings = sorted(set(readings_of(config)), key=lambda reading: (reading.pinned, reading))
    try:
        answers, note = states_on_hub(readings), ""
    except _Unreachable as reason:
        answers = ["–"] * len(readings)
        note = f"The hub cannot be reached, so moved branches are not known ({reason})."
    rows = [
        (each.kind, each.repo, "yes" if each.pinned else "NO", _short(each.revision), answer)
        for each, answer in zip(readings, answers, strict=True)
    ]
    if rows:
        print(text_table(("Kind", "Repository", "Pinned", "Revision", "On the hub"), rows, left=5))
        print()
    unpinned = sum(not reading.pinned for reading in readings)
    print(f"{len(readings) - unpinned} revisions are pinned to a commit, {unpinned} are not.")
    if note:
        print(note)


def readings_of(config: Config) -> Iterator[Reading]:
    """Models, tokenizers and datasets that the configuration reads from the hub."""
    for tokenizer in config.tokenizers.values():
        if tokenizer.hub:
            yield Reading("model", tokenizer.hub.repo, tokenizer.hub.revision)
    for model in config.models.values():
        if model.weights and model.weights.hub:
            yield Reading("model", model.weights.hub.repo, model.weights.hub.revision)
        if model.published_as and _is_on_hub(model.published_as):
            yield Reading("model", model.published_as, model.published_revision or MAIN)
    embeddings, server = config.analysis.embeddings, config.teacher.server
    if _is_on_hub(embeddings.model):
        yield Reading("model", embeddings.model, embeddings.revision or MAIN)
    if config.teacher.backend == "local" and server and _is_on_hub(server.model_path):
        yield Reading("model", server.model_path, server.revision or MAIN)
    repositories = [source.seeds.hub for source in config.sources.values()]
    for repository in [*repositories, config.published.hub if config.published else None]:
        if repository:
            yield Reading("dataset", repository.repo, repository.revision)
    for task in config.tasks.values():
        if not config.evaluation.mirror:
            yield Reading("dataset", task.data.repo, task.data.revision or MAIN)


def _is_on_hub(path: str) -> bool:
    """Whether a path that may also be a folder or `package:NAME/PATH` is a repository."""
    return _REPOSITORY.fullmatch(path) is not None and not Path(path).exists()


def states_on_hub(readings: list[Reading]) -> list[str]:
    """State of each reading on the hub, one phrase each.

    Raises:
        _Unreachable: if the hub gives no answer to a request.
    """
    from huggingface_hub import HfApi

    api, pool = HfApi(), ThreadPoolExecutor(_REQUESTS_AT_ONCE)
    try:
        return list(pool.map(lambda reading: _state(api, reading), readings))
    finally:  # without a network, no further request waits for its time limit
        pool.shutdown(cancel_futures=True)


def _state(api: Any, reading: Reading) -> str:
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

    try:
        if not reading.pinned:
            return f"now {_info(api, reading, reading.revision).sha}"
        branch = _info(api, reading, MAIN)
        if branch.sha == reading.revision:
            return "current"
        pinned = _info(api, reading, reading.revision)
    except RevisionNotFoundError:
        return "has no such revision"
    except HfHubHTTPError as error:
        return _refusal(error)
    return f"moved: {MAIN} is {branch.sha} of {_day(branch)}, the pin is of {_day(pinned)}"


def _info(api: Any, reading: Reading, revision: str) -> Any:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return api.repo_info(
            reading.repo, repo_type=reading.kind, revision=revision, timeout=_TIMEOUT_SECONDS
        )
    except HfHubHTTPError:
        raise
    except Exception as error:  # no network, no name server, a timeout, HF_HUB_OFFLINE ...
        raise _Unreachable(str(error).partition(". ")[0] or type(error).__name__) from error


def _refusal(error: Any) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return "gated: accept its terms and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return "not found; a private one needs HF_TOKEN"
    return f"refused with status {error.response.status_code}"


def _day(info: Any) -> str:
    """Date of a commit; the hub leaves it out for some repositories."""
    return f"{info.last_modified:%Y-%m-%d}" if info.last_modified else "an unknown day"


def _short(revision: str) -> str:
    return revision[:12] if _COMMIT.fullmatch(revision) else revision


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
