"""The upload itself, by `huggingface_hub`: one commit a repository; what is there already stays."""

import os

from lamini.errors import LaminiError
from lamini.publish.contents import CARD, Repository

TOKEN = "HF_TOKEN"


def upload(repository: Repository, private: bool) -> str:
    """Create the repository where it is missing, and commit its files.

    Args:
        repository: what it is to hold.
        private: visibility of a new one; one that exists keeps its own.

    Returns:
        The commit's address.

    Raises:
        LaminiError: without a token, or when the hub refuses; what the hub says is in it.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise LaminiError(f"the environment variable {TOKEN} holds no token that may write")
    operations = [CommitOperationAdd(CARD, repository.card.encode())]
    operations += [CommitOperationAdd(name, str(path)) for name, path in repository.files.items()]
    api, name, kind = HfApi(token=token), repository.repo_id, repository.kind
    try:
        api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        commit = api.create_commit(
            name, operations, repo_type=kind, commit_message="Results of the LaMini-LM pipeline"
        )
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        said = str(error).replace(token, "***")
        raise LaminiError(
            f"{repository.repo_id}: the hub does not take it ({said:.400}); check the name, what"
            f" the token in {TOKEN} may do, and HF_ENDPOINT, then run the same command again"
        ) from None
    return str(commit.commit_url)
