"""The teacher: asks an OpenAI-compatible endpoint, pays for no answer twice and loses none.

    with open_teacher(settings, ledger, other_ledgers, job) as teacher:
        for request, answer in teacher.ask(requests):
            ...

`requests` is pulled lazily and answers come in the order given. Each answer is on disk, in the
append-only ledger beside the shard, before it is yielded. The same holds for every
`teacher.backend` (`backends`): the live API, the Batch API, a local server.
"""

from lamini.teacher.ledger import ledger_path
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
    "Spend",
    "TeacherSession",
    "chat_request",
    "count_tokens",
    "counted_tokens",
    "ledger_path",
    "open_teacher",
]
