"""Teacher client: sends requests to an OpenAI-compatible endpoint; no answer is paid twice or lost.

    with open_teacher(settings, ledger, other_ledgers, job) as teacher:
        for request, answer in teacher.ask(requests):
            ...

`requests` is read lazily; answers are yielded in the order of the requests. Each answer is on disk,
in the append-only ledger beside the shard, before it is yielded. This holds for every
`teacher.backend` (package `backends`): the live API, the Batch API, a local server.
"""

from lamini.teacher.ledger import ledger_path
from lamini.teacher.report import ShardReport
from lamini.teacher.request import (
    Answer,
    Request,
    Spend,
    chat_request,
    count_tokens,
    counted_tokens,
)
from lamini.teacher.session import TeacherSession, open_teacher

__all__ = [
    "Answer",
    "Request",
    "ShardReport",
    "Spend",
    "TeacherSession",
    "chat_request",
    "count_tokens",
    "counted_tokens",
    "ledger_path",
    "open_teacher",
]
