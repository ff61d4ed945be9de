"""The two evaluation protocols: the prompts of the pinned lm-eval, or of the authors' harness.

The authors used a fork of lm-eval 0.3 (March 2023). Where its prompts differ from today's, `paper`
changes the stock task. All other fields are the stock definition in both protocols:

| task | `paper` sends | `modern` (stock) sends |
|---|---|---|
| sst2, mrpc | detokenized sentences ("it's") | GLUE's tokens ("it 's") |
| race | only the blank of an answered cloze question | the cloze question up to its blank |
| wsc273, record | one space before a continuation | two spaces, or a delimiter and two spaces |
| sciq | no line break if there is no supporting text | a prompt that starts with a line break |

In addition, `paper` tokenizes context and continuation separately, appends T5's end token to its
targets, and sends T5 up to 2,048 input tokens (see `requests`).
"""

import ast
from collections.abc import Callable
from typing import TypedDict

Definition = dict[str, object]
"""Fields of a definition; the functions among them take a row of the task's data."""


class _Sst2Row(TypedDict):
    sentence: str


class _MrpcRow(TypedDict):
    sentence1: str
    sentence2: str


class _RaceRow(TypedDict):
    article: str
    problems: str
    """Python text of a list of mappings with `question`, `answer` and `options`."""


class _Wsc273Row(TypedDict):
    text: str
    pronoun: str
    pronoun_loc: int
    """Position of the pronoun in the text, in characters."""


class _SciqRow(TypedDict):
    support: str
    question: str


def paper_definition(task: str) -> Definition:
    """Fields of the task's definition that differ in the authors' harness; empty for most tasks."""
    changes = _CHANGES.get(task)
    return changes() if changes else {}


def _sst2() -> Definition:
    from lm_eval.utils import general_detokenize

    def text(row: _Sst2Row) -> str:
        sentence = general_detokenize(row["sentence"])
        return f"{sentence}\nQuestion: Is this sentence positive or negative?\nAnswer:"

    return {"doc_to_text": text}


def _mrpc() -> Definition:
    from lm_eval.utils import general_detokenize

    def text(row: _MrpcRow) -> str:
        first, second = map(general_detokenize, (row["sentence1"], row["sentence2"]))
        question = "Do both sentences mean the same thing?"
        return f"Sentence 1: {first}\nSentence 2: {second}\nQuestion: {question}\nAnswer:"

    return {"doc_to_text": text}


def _race() -> Definition:
    def text(row: _RaceRow) -> str:
        *answered, last = ast.literal_eval(row["problems"])
        parts = [f"Article: {row['article']}\n\n"]
        for problem in answered:
            question, answer = (
                problem["question"],
                problem["options"]["ABCD".index(problem["answer"])],
            )
            if question[-6:] == "  _  .":  # cloze question: their harness kept only its blank
                parts.append(f"{question[-5:]}{answer}\n")
            else:
                parts.append(f"Question: {question}\nAnswer: {answer}\n")
        return "".join(parts) + str(last["question"])

    return {"doc_to_text": text}


def _wsc273() -> Definition:
    def target(row: _Wsc273Row) -> str:
        return row["text"][row["pronoun_loc"] + len(row["pronoun"]) :].strip()

    return {"doc_to_target": target}


def _sciq() -> Definition:
    def text(row: _SciqRow) -> str:
        return f"{row['support']}\nQuestion: {row['question']}\nAnswer:".strip()

    return {"doc_to_text": text}


_CHANGES: dict[str, Callable[[], Definition]] = {
    "sst2": _sst2,
    "mrpc": _mrpc,
    "race": _race,
    "wsc273": _wsc273,
    "record": lambda: {"target_delimiter": ""},
    "sciq": _sciq,
}
