"""Conversations of several turns: their form, and the examples that they are trained on.

A conversation is a list of messages, each with `role` and `content`: a user turn, the assistant's
answer to it, the next user turn, and so on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lamini.thoughts import split_thoughts

Message = Mapping[str, str]
ROLES = ("user", "assistant")


def turn(role: str, content: str) -> dict[str, str]:
    """One message."""
    return {"role": role, "content": content}


def conversation_of(texts: Iterable[str]) -> list[dict[str, str]]:
    """Messages with these texts: user, assistant, user, and so on."""
    return [turn(ROLES[number % 2], text) for number, text in enumerate(texts)]


def problem_of(messages: object) -> str | None:
    """Why a value is no conversation, in words; None if it is one.

    Its turns alternate, from a user turn to an answer, and every turn has a text.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        return "is no list of messages"
    problems = (_problem_of_turn(number, message) for number, message in enumerate(messages))
    return next((problem for problem in problems if problem), None)


def _problem_of_turn(number: int, message: object) -> str | None:
    name = f"message {number + 1}"
    if not isinstance(message, Mapping):
        return f"{name} is no object"
    role, content = message.get("role"), message.get("content")
    if role == "system":
        return "has a system turn; students get theirs from `chat.system`"
    if role != ROLES[number % 2]:
        return f"{name} has the role {role!r}; user and assistant must alternate"
    if message.get("tool_calls"):
        return f"{name} calls a tool, which is not supported"
    if not isinstance(content, str) or not content.strip():
        return f"{name} has no text"
    return None


def is_conversation(messages: object) -> bool:
    """Whether a value is a conversation that ends with an answer."""
    return problem_of(messages) is None and len(messages) % 2 == 0  # type: ignore[arg-type]


def examples_of(messages: Sequence[Message]) -> Iterator[tuple[list[Message], str]]:
    """The messages before each answer, and the answer.

    Earlier answers are without thoughts, as servers and the templates of reasoning models send
    them.
    """
    history: list[Message] = []
    for asked, answered in zip(messages[::2], messages[1::2], strict=True):
        history = [*history, turn("user", asked["content"])]
        yield history, answered["content"]
        history = [*history, turn("assistant", split_thoughts(answered["content"])[0])]


def texts_of(messages: Sequence[Message], role: str) -> str:
    """All texts of a role, with an empty line between them."""
    return "\n\n".join(each["content"] for each in messages if each["role"] == role)
