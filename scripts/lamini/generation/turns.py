"""Further turns of conversations (`sources.{name}.turns`), on the answers to a shard's queries.

The next user turn is that of the seed, if its conversation has one; else the teacher writes it, as
a template asks. Then the teacher answers it, with the whole conversation in the request. A request
is keyed by its messages, so an equal conversation is paid once, and more turns cost only the new
ones. A conversation ends early at a user turn that is empty, truncated, a refusal or said before,
and at an answer with a flag, which is left out with its user turn.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jinja2

from lamini.conversations import Message, turn
from lamini.errors import LaminiError
from lamini.files import derive_seed
from lamini.generation.normalization import text_key
from lamini.generation.rows import PairRow
from lamini.generation.texts import clean, response_flags
from lamini.settings.params.generation import GeneratePairs
from lamini.teacher.request import Answer, Request, chat_request
from lamini.teacher.session import TeacherSession

_LABEL = re.compile(r"\A(?:\[user\]|\**user(?:'s next message)?\**:\**)\s*", re.IGNORECASE)


class NextTurnTemplate:
    """A compiled template of the prompt that asks for a user turn.

    Args:
        text: Jinja text; variable `messages`.
        name: its path or setting, for messages.

    Raises:
        LaminiError: it is no Jinja template, or does not show the conversation.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        environment = jinja2.Environment(
            trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateError as error:
            raise self._wrong(error) from error
        shown = ["sampleinstruction", "sampleanswer"]
        rendered = self.render([turn("user", shown[0]), turn("assistant", shown[1])])
        if not all(text in rendered for text in shown):
            raise self._wrong("does not show all of `messages`")

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for the next user turn of a conversation."""
        try:
            return self._template.render(messages=messages)
        except Exception as error:  # a template may call any method
            raise self._wrong(error) from error

    def _wrong(self, problem: object) -> LaminiError:
        return LaminiError(f"{self._name}: the prompt for the next user turn: {problem}")


class Conversations:
    """The conversations of a shard, one turn of all of them after the other.

    Args:
        session: the session of the first answers.
        settings: the rule's params, with `turns`.
        count: called with each answer of the teacher.
    """

    def __init__(
        self, session: TeacherSession, settings: GeneratePairs, count: Callable[[Answer], None]
    ) -> None:
        assert settings.turns is not None
        self._session, self._settings, self._count = session, settings, count
        self._turns = settings.turns
        self._template = NextTurnTemplate(self._turns.template, "teacher.next_turns.template")
        self.ended: Counter[str] = Counter()
        """Numbers of conversations that ended early, by reason."""
        self.requests = 0

    def extend(self, pairs: Sequence[PairRow], later: Sequence[Sequence[str]]) -> list[PairRow]:
        """The pairs with `messages`: all turns.

        Args:
            pairs: first turn of each conversation.
            later: user turns of the seeds after the first one.
        """
        talks = [
            [turn("user", pair["instruction"]), _answered(pair["response"], pair.get("thoughts"))]
            for pair in pairs
        ]
        going = [number for number, pair in enumerate(pairs) if not pair["flags"]]
        if len(going) < len(pairs):
            self.ended["first_answer"] = len(pairs) - len(going)
        for index in range(self._turns.count - 1):
            going = self._next_turns(talks, going, later, index)
        return [{**pair, "messages": talk} for pair, talk in zip(pairs, talks, strict=True)]

    def _next_turns(
        self,
        talks: list[list[dict[str, str]]],
        going: list[int],
        later: Sequence[Sequence[str]],
        index: int,
    ) -> list[int]:
        """Add one turn to the conversations that go on; returns those with a whole answer."""
        known = {number: later[number][index] for number in going if index < len(later[number])}
        unknown = [number for number in going if number not in known]
        answers = self._ask([self._request_of_turn(talks[number]) for number in unknown])
        for number, answer in zip(unknown, answers, strict=True):
            text = _LABEL.sub("", clean(answer.text).strip()).strip()
            said = {text_key(each["content"]) for each in talks[number] if each["role"] == "user"}
            flags = response_flags(text, answer.finish_reason)
            if flags or text_key(text) in said:
                self.ended[f"user_turn_{flags[0] if flags else 'repeated'}"] += 1
            else:
                known[number] = text
        numbers = sorted(known)
        for number in numbers:
            talks[number].append(turn("user", known[number]))
        answers = self._ask([self._request_of_answer(talks[number]) for number in numbers])
        whole = []
        for number, answer in zip(numbers, answers, strict=True):
            response = clean(answer.text).strip()
            flags = response_flags(response, answer.finish_reason)
            if flags:
                self.ended[f"answer_{flags[0]}"] += 1
                talks[number].pop()
            else:
                talks[number].append(_answered(response, clean(answer.thoughts).strip()))
                whole.append(number)
        return whole

    def _ask(self, requests: list[Request]) -> list[Answer]:
        self.requests += len(requests)
        answers = [answer for _, answer in self._session.ask(iter(requests))]
        for answer in answers:
            self._count(answer)
        return answers

    def _request_of_turn(self, talk: Sequence[Message]) -> Request:
        messages = [turn("user", self._template.render(_without_thoughts(talk)))]
        return self._request(messages, self._turns.sampling)

    def _request_of_answer(self, talk: Sequence[Message]) -> Request:
        responses = self._settings.responses
        messages = [turn("system", responses.system_message), *_without_thoughts(talk)]
        return self._request(messages, responses.sampling, more_room=responses.more_room)

    def _request(self, messages: list[dict[str, str]], sampling: Any, **more: Any) -> Request:
        seed = None
        if self._settings.seed_requests:
            text = json.dumps(messages, ensure_ascii=False)
            seed = derive_seed("generate_turns", self._settings.seed, text) >> 32
        return chat_request(self._settings.model, messages, sampling, seed, **more)


def _answered(response: str, thoughts: str | None) -> dict[str, str]:
    return turn("assistant", response) | ({"thoughts": thoughts} if thoughts else {})


def _without_thoughts(talk: Sequence[Message]) -> list[dict[str, str]]:
    return [turn(each["role"], each["content"]) for each in talk]
