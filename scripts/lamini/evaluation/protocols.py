"""The two evaluation protocols: the prompts of the pinned lm-eval, or of the authors' harness.

The authors used a fork of lm-eval 0.3 (March 2023). Where its prompts differ from today's, `paper`
changes the stock task. All other fields are the stock definition in both protocols:

| task | `paper` sends | `modern` (stock) sends |
|---|---|---|
| sst2, mrpc | detokenised sentences ("it's") | GLUE's tokens ("it 's") |
| race | only the blank of an answered cloze question | the cloze question up to its blank |
| wsc273, record | one space before a continuation | two spaces, or a delimiter and two spaces |
| sciq | no line break if there is no supporting text | a prompt that starts with a line break |

In addition, `paper` tokenises context and continuation separately, appends T5's end token to its
targets, and sends T5 up to 2,048 input tokens (see `requests`).
"""

import ast
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Definition = dict[str, Any]


def paper_definition(task: str) -> Definition:
    """Fields of the task's definition that differ in the authors' harness; empty for most tasks."""
    changes = _CHANGES.get(task)
    return changes() if changes else {}


def _sst2() -> Definition:
    from lm_eval.utils import general_detokenize

    def text(row: Row) -> str:
        sentence = general_detokenize(row["sentence"])
        return f"{sentence}\nQuestion: Is this sentence positive or negative?\nAnswer:"

    return {"doc_to_text": text}


def _mrpc() -> Definition:
    from lm_eval.utils import general_detokenize

    def text(row: Row) -> str:
        first, second = (general_detokenize(row[key]) for key in ("sentence1", "sentence2"))
        question = "Do both sentences mean the same thing?"
        return f"Sentence 1: {first}\nSentence 2: {second}\nQuestion: {question}\nAnswer:"

    return {"doc_to_text": text}


def _race() -> Definition:
    def text(row: Row) -> str:
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
    def target(row: Row) -> str:
        return str(row["text"][row["pronoun_loc"] + len(row["pronoun"]) :].strip())

    return {"doc_to_target": target}


def _sciq() -> Definition:
    def text(row: Row) -> str:
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
