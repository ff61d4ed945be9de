"""Prompt format `chat`: the prompt is what a chat template gives for the instruction.

System message and options are written into the template once (`fixed_template`). Training,
evaluation, answers and the exported tokenizer use this text, so their prompts have the same ids.

The supervised tokens of a pair are found without marks in the template: the ids of the prompt, up
to and with the generation prompt, must be the first ids of the whole conversation, and the ids of
the template's text after a response must be its last ids. What is between them, with the end
tokens, is supervised. A template for which this does not hold on test texts is refused; single
pairs for which it does not hold are left out.

A conversation of several turns gives one pair for each answer: its prompt is the conversation so
far. So each answer is trained after the prompt that the student gets, also by templates that write
earlier answers differently from the last one.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from lamini.conversations import Message, conversation_of, examples_of, turn
from lamini.errors import LaminiError
from lamini.prompt_formats import PromptFormat
from lamini.settings.params.students import ChatTemplate
from lamini.thoughts import TAGS, split_thoughts, with_thoughts

if TYPE_CHECKING:
    from transformers import TokenizersBackend

TEST_TEXTS = (
    ("Name a sea.", "42"),
    ("What is 6 x 7", "Paris."),
    ("été 海 🦙 {{ a }} \\ \"x\" 'y'", "It's\n\n- {{ b }}\n- 🦙"),
    ("1 + 1 = 2\n\nTrue or false?", '"True", said I'),
)
"""Instructions and responses on which a template is tested; the first two begin and end with
different characters."""
TEST_THOUGHTS = "A sea is asked for."
INEXACT = "chat_template"
"""Reason to leave out a pair: its prompt's ids do not begin the ids of its conversation."""
CONTROL_TOKEN = "control_token"
"""Reason to leave out a pair: its response has the text of a control token, such as `<|im_end|>`,
which the tokenizer reads as the token itself; or an earlier answer of its conversation has."""


@dataclass(frozen=True)
class ChatPair:
    """Token ids of one answer and of the conversation before it."""

    prompt: list[int]
    """System turn, conversation, and the generation prompt; with masked thoughts, these too."""
    response: list[int]
    """Supervised: the assistant's turn with its end tokens."""
    problem: str | None
    """`INEXACT`, `CONTROL_TOKEN`, or None: the pair can be trained on."""


@dataclass(frozen=True)
class ChatFormat(PromptFormat):
    """A chat template as prompt format; made by `chat_format`."""

    tokenizer: Any
    template: str
    """The template, with system message and options written into it."""
    ending: str = ""
    """The template's text after a response."""
    closing: tuple[int, ...] = ()
    """Ids of `ending`."""
    ends: int = 0
    """Number of control tokens at the start of `closing`; the last of them ends a text."""
    opening_controls: int = 0
    """Number of control tokens between the generation prompt and the response."""

    @property
    def has_special_tokens(self) -> bool:
        """Always: the template writes them."""
        return True

    @property
    def end(self) -> int:
        """Id of the token that ends a response."""
        return self.closing[self.ends - 1]

    def render(self, instruction: str) -> str:
        """Text of the whole prompt."""
        return self._text([turn("user", instruction)], None)

    def tokenize(self, instructions: Sequence[str], responses: Sequence[str]) -> list[ChatPair]:
        """Token ids of pairs; both are those of `apply_chat_template`."""
        pairs = zip(instructions, responses, strict=True)
        return [pair for (pair,) in self.tokenize_turns([conversation_of(pair) for pair in pairs])]

    def tokenize_turns(
        self, conversations: Sequence[Sequence[Message]], *, masked: bool = False
    ) -> list[list[ChatPair]]:
        """Token ids of each answer of each conversation, with all that is before it as prompt.

        Args:
            conversations: messages, from a user turn to an answer.
            masked: whether an answer's thoughts are in its prompt, so that they are not supervised.
        """
        examples = [list(examples_of(messages)) for messages in conversations]
        every = [example for of_one in examples for example in of_one]
        wholes = [self._text(*example) for example in every]
        heads = [
            self._before_answer(whole, response) if masked else None
            for whole, (_, response) in zip(wholes, every, strict=True)
        ]
        pairs = map(
            self._pair,
            self.ids([self._text(history, None) for history, _ in every]),
            self.ids(wholes),
            [None if head is None else self.ids([head])[0] for head in heads],
        )
        return [_after_forged([next(pairs) for _ in of_one]) for of_one in examples]

    def _before_answer(self, whole: str, response: str) -> str | None:
        """A conversation's text up to the end of the last answer's thoughts; None without any."""
        answer, thoughts = split_thoughts(response)
        return whole.removesuffix(answer + self.ending) if thoughts else None

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of rendered texts."""
        backend = self.tokenizer.backend_tokenizer
        backend.encode_special_tokens = False
        encoded = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [text.ids for text in encoded]

    def _pair(self, prompt: list[int], whole: list[int], head: list[int] | None) -> ChatPair:
        """The pair of a conversation; `head`: ids up to the end of thoughts that are masked."""
        last = len(whole) - len(self.closing)
        begun = prompt if head is None else head
        exact = (
            whole[: len(prompt)] == prompt
            and whole[: len(begun)] == begun
            and last >= len(begun) >= len(prompt)
            and tuple(whole[last:]) == self.closing
        )
        if not exact:
            return ChatPair(prompt, [self.end], INEXACT)
        controls = sum(token in self.controls for token in whole[len(prompt) : last])
        problem = None if controls == self.opening_controls else CONTROL_TOKEN
        return ChatPair(begun, whole[len(begun) : last + self.ends], problem)

    @functools.cached_property
    def controls(self) -> frozenset[int]:
        """Ids of the tokenizer's control tokens; the tags of thoughts are none."""
        added_tokens = self.tokenizer.backend_tokenizer.get_added_tokens_decoder()
        special = (token for token, added in added_tokens.items() if added.special)
        return frozenset(token for token in special if added_tokens[token].content not in TAGS)

    def _text(self, history: Sequence[Message], response: str | None) -> str:
        messages = [*history]
        if response is not None:
            messages.append(turn("assistant", response))
        text: str = self.tokenizer.apply_chat_template(
            messages,
            chat_template=self.template,
            add_generation_prompt=response is None,
            tokenize=False,
        )
        return text


def chat_format(tokenizer: "TokenizersBackend", chat: ChatTemplate) -> ChatFormat:
    """The chat template of a tokenizer, or of the settings, as a prompt format.

    Args:
        tokenizer: a fast tokenizer.
        chat: template, system message and options.

    Raises:
        LaminiError: names the tokenizer; there is no template, or it cannot be used for training.
    """
    name = tokenizer.name_or_path
    own = tokenizer.chat_template if chat.template is None else chat.template
    if not own:
        raise LaminiError(f"{name}: {NO_TEMPLATE}")
    if not isinstance(own, str):
        raise LaminiError(
            f"{name}: the tokenizer has several chat templates; copy one to a file and set"
            " `chat.template`"
        )
    bare = ChatFormat("", "", tokenizer, fixed_template(own, chat))
    try:
        return _tested(bare)
    except (TemplateError, TypeError, ValueError) as error:
        raise LaminiError(
            f"{name}: its chat template cannot be used: {error}; set `chat.template` to a file with"
            " a changed one, or change `chat.system` and `chat.options`"
        ) from None


def _after_forged(pairs: list[ChatPair]) -> list[ChatPair]:
    """The answers of one conversation; none after one with a forged control token is usable."""
    forged = False
    for number, pair in enumerate(pairs):
        if forged:
            pairs[number] = dataclasses.replace(pair, problem=CONTROL_TOKEN)
        forged = forged or pair.problem == CONTROL_TOKEN
    return pairs


def check_conversations(form: ChatFormat, *, turns: bool, thoughts: bool) -> None:
    """Test a template on what a mixture has beyond pairs.

    Args:
        form: the template as prompt format.
        turns: whether there are conversations of several turns.
        thoughts: whether there are answers with thoughts.

    Raises:
        LaminiError: names the tokenizer; the template cannot be used for training on them.
    """
    name = form.tokenizer.name_or_path
    if turns:
        texts = [text for pair in TEST_TEXTS for text in pair]
        try:
            (pairs,) = form.tokenize_turns([conversation_of(texts)])
        except (TemplateError, TypeError, ValueError) as error:
            raise LaminiError(f"{name}: its chat template refuses several turns: {error}") from None
        wrong = next((n for n, pair in enumerate(pairs, start=1) if pair.problem), None)
        if wrong:
            raise LaminiError(
                f"{name}: its chat template is not exact for several turns: the ids of the prompt"
                f" of answer {wrong} do not begin the ids of the conversation; set `chat.template`"
                " to a file with a changed one"
            )
    if thoughts:
        asked = conversation_of([TEST_TEXTS[0][0], with_thoughts(TEST_THOUGHTS, "It is a test.")])
        ((pair,),) = form.tokenize_turns([asked])
        if pair.problem or TEST_THOUGHTS not in form.tokenizer.decode(pair.response):
            raise LaminiError(
                f"{name}: its chat template leaves out the thoughts of an answer, or its prompt"
                " turns them off; set `chat.options` (such as `enable_thinking: true`) or"
                " `chat.template`, or `thinking: strip` in the mixture"
            )


def export_chat(tokenizer: "TokenizersBackend", chat: ChatTemplate) -> None:
    """Give a tokenizer the template of the training, and its end token, at which servers stop.

    Raises:
        LaminiError: if the template cannot be used, or gives other prompts with this end token.
    """
    form = chat_format(tokenizer, chat)
    prompts = [form.render(instruction) for instruction, _ in TEST_TEXTS]
    tokenizer.chat_template = form.template
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(form.end)
    if prompts != [form.render(instruction) for instruction, _ in TEST_TEXTS]:
        raise LaminiError(
            f"{tokenizer.name_or_path}: its chat template writes the tokenizer's end token into the"
            f" prompt, but ends a response with {tokenizer.eos_token}; set `chat.template` to a"
            " file that writes one of them everywhere"
        )


NO_TEMPLATE = (
    "the tokenizer has no chat template; set `chat.template` of the tokenizer to a file with one,"
    " for example the chat_template.jinja of the same family's instruct model"
)


def fixed_template(template: str, chat: ChatTemplate) -> str:
    """A template with the system message and the options of the settings written into it.

    A caller's own system message or option replaces the written one. A template that already
    begins with these lines, such as that of an exported student, stays as it is.
    """
    lines = [
        f"{{%- set {name} = {name} if {name} is defined else {_literal(value)} +%}}"
        for name, value in sorted(chat.options.items())
    ]
    if chat.system is not None:
        system = f"[{{'role': 'system', 'content': {_literal(chat.system)}}}]"
        lines.append(
            "{%- if messages[0]['role'] != 'system' +%}"
            f"{{%- set messages = {system} + messages +%}}"
            "{%- endif +%}"
        )
    head = "".join(lines)
    return template if template.startswith(head) else head + template


def _literal(value: bool | int | float | str | None) -> str:
    """A value in Jinja's notation."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        return f"'{escaped}'"
    return "none" if value is None else str(value).lower()


def _tested(bare: ChatFormat) -> ChatFormat:
    """Complete a format by what its template writes around texts, and test it.

    Raises:
        ValueError: if the template is not exact.
        TemplateError: if the template refuses the conversation.
    """
    _check_clock(bare)
    (one, reply), (two, other) = TEST_TEXTS[:2]
    prompts = [bare.render(one), bare.render(two)]
    before, after = _common_prefix(prompts), _common_suffix(prompts)
    if prompts != [before + one + after, before + two + after]:
        raise ValueError("its prompt is not one text before and one after the instruction")
    wholes = [bare._text([turn("user", one)], reply), bare._text([turn("user", two)], other)]
    ending = _common_suffix(wholes)
    if not all(
        whole.endswith(text + ending) for whole, text in zip(wholes, (reply, other), strict=True)
    ):
        raise ValueError("it changes the response")
    (closing,) = bare.ids([ending])
    controls = bare.controls
    ends = next((n for n, token in enumerate(closing) if token not in controls), len(closing))
    if not ends:
        raise ValueError(f"it ends a response with {ending!r}, which is no control token")
    whole, prompt = bare.ids([wholes[0], prompts[0]])
    complete = dataclasses.replace(
        bare,
        before=before,
        after=after,
        ending=ending,
        closing=tuple(closing),
        ends=ends,
        opening_controls=sum(t in controls for t in whole[len(prompt) : -len(closing)]),
    )
    instructions, responses = zip(*TEST_TEXTS, strict=True)
    for pair, response in zip(complete.tokenize(instructions, responses), responses, strict=True):
        if pair.problem is not None:
            raise ValueError(
                "the ids of a prompt with its generation prompt do not begin the ids of the whole"
                f" conversation (response {response!r}), so the supervised tokens are not known"
            )
    return complete


def _check_clock(bare: ChatFormat) -> None:
    """Refuse a template that writes the date: the prompts would change from day to day."""
    asked = [turn("user", "a")]
    no_clock = "{%- macro strftime_now(form) -%}{%- endmacro +%}"
    stopped = dataclasses.replace(bare, template=no_clock + bare.template)
    if stopped._text(asked, None) != bare._text(asked, None):
        raise ValueError(
            "it writes today's date into the prompt; fix it in `chat.options`, for example"
            ' `date_string: "26 Jul 2024"`, or by a `chat.system` of your own'
        )


def _common_prefix(texts: Sequence[str]) -> str:
    columns = zip(*texts, strict=False)
    return "".join(c[0] for c in itertools.takewhile(lambda c: len({*c}) == 1, columns))


def _common_suffix(texts: Sequence[str]) -> str:
    return _common_prefix([text[::-1] for text in texts])[::-1]
