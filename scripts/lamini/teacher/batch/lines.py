"""Lines of a batch's files: requests in the input file, answers and errors in the result files.

The format is that of the Batch API's guide. An input line has `custom_id` (here the request key),
`method`, `url` and `body`. A line of a result file has `custom_id` and either `response`
(`status_code`, `request_id`, `body`) or `error` (`code`, `message`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lamini.teacher.completions import Completion, parse_body
from lamini.teacher.pending import PendingRequest
from lamini.teacher.replies import RetryableError, read_reply
from lamini.teacher.request import body_digest

ENDPOINT: Final = "/v1/chat/completions"
_HEAD = b'{"custom_id":"%b","method":"POST","url":"' + ENDPOINT.encode() + b'","body":'
_KEY = slice(14, 46)
_BODY_AT = len(_HEAD % (b"0" * 32))


def input_line(pending: PendingRequest) -> bytes:
    """The input line of a request; its body is byte-identical to that of the live backend."""
    return _HEAD % pending.key.encode() + pending.payload + b"}\n"


def read_input(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the request key and the digest of the body of each line of an input file."""
    with open(path, "rb") as handle:
        for line in handle:
            yield line[_KEY].decode(), body_digest(line[_BODY_AT:-2])


def read_output(raw: bytes) -> tuple[dict[str, dict[str, Any]], bool]:
    """Read an output or error file.

    Returns:
        the rows by request key, and whether all lines are valid.
    """
    rows: dict[str, dict[str, Any]] = {}
    whole = True
    for line in raw.split(b"\n"):  # not splitlines: a body may contain other line ends
        if not line.strip():
            continue
        row = parse_body(line)
        if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
            whole = False
        else:
            rows.setdefault(row["custom_id"], row)
    return rows, whole


def completion_of_line(address: str, row: Mapping[str, object]) -> Completion:
    """The completion in one line of an output or error file.

    Raises:
        RetryableError: the request failed and may succeed when it is sent again.
        PromptRefused, LaminiError: the request was refused.
    """
    response = row.get("response")
    if not isinstance(response, dict):
        error = row.get("error")
        details = error if isinstance(error, dict) else {"message": error}
        raise RetryableError(f"{details.get('code')}: {details.get('message')}")
    status = response.get("status_code")
    if not isinstance(status, int) or status < 100:
        raise RetryableError(f"status {status!r}")
    headers = {"x-request-id": str(response.get("request_id") or "")}
    # ASCII JSON, so that lone surrogates are handled as in a live reply.
    return read_reply(address, status, headers, json.dumps(response.get("body")).encode())
