"""Upload by `huggingface_hub`: one commit per repository; other files in it are kept."""

import os

from lamini.errors import LaminiError
from lamini.publish.contents import CARD, Repository

TOKEN = "HF_TOKEN"


def upload(repository: Repository, private: bool) -> str:
    """Create the repository if it does not exist, and commit the files.

    Args:
        repository: contents to upload.
        private: visibility of a new repository; an existing one is not changed.

    Returns:
        URL of the commit.

    Raises:
        LaminiError: if there is no token, or the hub refuses; contains the hub's message.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise LaminiError(f"the environment variable {TOKEN} holds no token; set a write token")
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
            f"{repository.repo_id}: the hub refuses the upload ({said:.400}); check the name, the"
            f" permissions of the token in {TOKEN}, and HF_ENDPOINT, then run the command again"
        ) from None
    return str(commit.commit_url)
