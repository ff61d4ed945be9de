"""Files and Batches calls of the `openai` package, with retryable and permanent errors."""

from collections.abc import Awaitable, Collection
from pathlib import Path
from typing import TypeVar

import openai
from openai.types import Batch

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.batch.lines import ENDPOINT
from lamini.teacher.endpoints import UNKNOWN_HOST, external_targets, is_unknown_host
from lamini.teacher.replies import PromptRefused, RetryableError, read_reply, without_secrets

_LABEL = "lamini_batch"
T = TypeVar("T")


class BatchService:
    """Files and Batches API of one endpoint.

    Every method raises `RetryableError` for a temporary failure, and `LaminiError` with the API's
    message for a permanent one. The package itself makes up to three attempts, except to create a
    batch.

    Args:
        settings: the endpoint and the timeout of a call.

    Raises:
        LaminiError: the API key is not in the environment.
    """

    def __init__(self, settings: Teacher) -> None:
        (target,) = external_targets(settings)
        self._secret = target.secret
        self.address = target.base_url
        self._openai = openai.AsyncOpenAI(
            api_key=target.secret,
            base_url=self.address,
            default_headers=target.more_headers,
            default_query=target.query,
            timeout=settings.timeout,
            max_retries=2,
        )

    async def upload(self, path: Path) -> str:
        """Upload an input file and return its id."""
        with open(path, "rb") as handle:
            name = (path.name, handle, "application/jsonl")
            file = await self._call(self._openai.files.create(file=name, purpose="batch"))
        if not getattr(file, "id", None):
            raise RetryableError("the upload got no file id")
        if file.bytes not in (None, path.stat().st_size):
            raise RetryableError(f"only {file.bytes} of {path.stat().st_size} bytes were uploaded")
        return file.id

    async def create(self, file: str, token: str, job: str) -> Batch:
        """Create a batch of an uploaded file.

        The call is not retried: a batch may exist although its creation got no reply.
        """
        batches = self._openai.with_options(max_retries=0).batches
        metadata = {_LABEL: token, "shard": job[:512]}
        return _whole(
            await self._call(
                batches.create(
                    input_file_id=file,
                    endpoint=ENDPOINT,
                    completion_window="24h",
                    metadata=metadata,
                )
            )
        )

    async def find(self, file: str, token: str, refused: Collection[str]) -> Batch | None:
        """Find the batch of an input file whose id is unknown; duplicates of it are cancelled.

        Args:
            file: id of the input file.
            token: the record's token in the batch's metadata.
            refused: ids of batches to ignore.
        """
        batches = [b for b in await self._call(self._find(file, token)) if b.id not in refused]
        first = next((batch for batch in batches if batch.status != "failed"), None)
        for other in batches:
            if other is not first and other.status in ("validating", "in_progress"):
                await self.cancel(other.id)
        return first or next(iter(batches), None)

    async def retrieve(self, batch: str) -> Batch:
        """The current state of a batch."""
        return _whole(await self._call(self._openai.batches.retrieve(batch)))

    async def cancel(self, batch: str) -> None:
        """Cancel the unanswered requests of a batch."""
        await self._call(self._openai.batches.cancel(batch))

    async def download(self, file: str) -> bytes:
        """The content of a file."""
        return (await self._call(self._openai.files.content(file))).content

    async def close(self) -> None:
        """Close the connections."""
        await self._openai.close()

    def scrubbed(self, text: str) -> str:
        """Replace the API key, and all strings that look like one, by `[key]`."""
        return without_secrets(text.replace(self._secret, "[key]"))

    async def _find(self, file: str, token: str) -> list[Batch]:
        batches = [
            batch
            async for batch in self._openai.batches.list(limit=100)
            if (batch.metadata or {}).get(_LABEL) == token or batch.input_file_id == file
        ]
        return sorted(batches, key=lambda batch: batch.created_at or 0)

    async def _call(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except openai.APIStatusError as error:
            reply = error.response
            url = str(reply.request.url)
            try:
                read_reply(url, reply.status_code, reply.headers, reply.content)
            except PromptRefused as refusal:  # there is no prompt in this request
                raise refusal.error from None
            raise LaminiError(f"{url} answered {reply.status_code}: {error}") from None
        except openai.APIError as error:
            if is_unknown_host(error):
                raise LaminiError(f"{self.address}: {UNKNOWN_HOST}") from None
            cause = error.__cause__ or error
            raise RetryableError(self.scrubbed(f"{type(cause).__name__}: {cause}")) from None
        except (ValueError, AttributeError, TypeError) as error:  # truncated body, or not JSON
            raise RetryableError(self.scrubbed(f"malformed reply ({error})")) from None


def _whole(batch: Batch) -> Batch:
    if not getattr(batch, "id", None) or not getattr(batch, "status", None):
        raise RetryableError("malformed reply: no batch")
    return batch
