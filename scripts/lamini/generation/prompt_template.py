"""Template of the prompt that requests instructions (Figures 2 and 7, or a user-provided file)."""

import functools
import json
from collections.abc import Sequence

import jinja2

from lamini.errors import LaminiError
from lamini.files import resolve_path
from lamini.settings.teacher import InstructionTemplate


class PromptTemplate:
    """A compiled Jinja template.

    Args:
        prompt: path of the template and the labels.

    Raises:
        LaminiError: the file is missing or is not a Jinja template.
    """

    def __init__(self, prompt: InstructionTemplate) -> None:
        self._path = prompt.template
        self._labels = {"opening": prompt.opening, "closing": prompt.closing or ""}
        self._json, self._field = prompt.parser == "json", prompt.field or ""
        environment = jinja2.Environment(
            trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        environment.filters["as_json"] = functools.partial(json.dumps, ensure_ascii=False)
        try:
            text = resolve_path(prompt.template).read_text(encoding="utf-8")
            self._template = environment.from_string(text)
        except (OSError, UnicodeDecodeError, jinja2.TemplateError) as error:
            raise self._wrong(f"can't be read as a Jinja template ({_reason(error)})") from error

    def render(self, examples: Sequence[str], topics: Sequence[str], count: int) -> str:
        """The prompt that shows `examples` and requests `count` new ones on `topics`.

        Raises:
            LaminiError: the template uses an unknown name, or its rendering fails.
        """
        try:
            return self._template.render(
                examples=examples, topics=topics, count=count, field=self._field, **self._labels
            )
        except Exception as error:  # a template may call any method
            raise self._wrong(f"can't be filled ({_reason(error)})") from error

    def check(self, examples: int, topics: int) -> None:
        """Check that the rendered template contains all its values and labels.

        Args:
            examples: number of examples per request.
            topics: number of topics per request.

        Raises:
            LaminiError: a value or label is missing in the rendered prompt; names it.
        """
        shown = {
            "examples": [f"sampleexample{number}" for number in range(examples)],
            "topics": [f"sampletopic{number}" for number in range(topics)],
            "count": ["98765"],
        }
        text = self.render(shown["examples"], shown["topics"], int(shown["count"][0]))
        for name, values in shown.items():
            if not all(value in text.lower() for value in values):
                raise self._wrong(f"does not show all of `{name}`; add it to the template")
        if self._json and ("json" not in text.lower() or self._field not in text):
            raise self._wrong(
                "does not ask for JSON, or does not show `prompt.field`; see the template"
                " package:lamini/generation/instruction_prompt_json.jinja"
            )
        for name, label in () if self._json else self._labels.items():
            if label not in text:
                raise self._wrong(
                    f"does not show the {name} label {label!r}, by which answers are read; add"
                    f" `{{{{ {name} }}}}` to the template, or correct `prompt.{name}`"
                )

    def _wrong(self, problem: str) -> LaminiError:
        return LaminiError(f"{self._path}: the instruction prompt {problem}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    return str(error)
