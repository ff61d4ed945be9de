"""Texts sent to a model: requests of current lm-eval, or of the authors, token by token."""

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_cases import MIRROR, TASKS, gpt2_tokenizer, small_model, t5_tokenizer
from lm_eval import evaluate
from lm_eval.models.huggingface import HFLM
from tokenizer_kinds import llama3

from lamini.evaluation import scoring, squad
from lamini.evaluation.data import mirror_path
from lamini.evaluation.harness import LaminiLM
from lamini.evaluation.tasks import build_task
from lamini.prompt_formats import text_format
from lamini.students.chat_template import chat_template

WRAPPER = (
    "Below is an instruction that describes a task. Write a response that appropriately completes"
    " the request.\n\n### Instruction:\n{instruction}\n\n### Response:"
)


def _task(name: str, protocol: str) -> Any:
    return build_task(name, TASKS[name], protocol, MIRROR)[0]


def _sent(name: str, protocol: str, **chat: Any) -> list[tuple[str, str]]:
    """The (context, continuation) pairs of a task's requests, as lm-eval builds them."""
    task = _task(name, protocol)
    task.build_all_requests(**chat)
    return [instance.args for instance in task.instances]


def _detokenized(text: str) -> str:
    """GLUE's spaces, removed as by the lm-eval of 2023."""
    for before, after in ((" n't", "n't"), (" )", ")"), ("( ", "("), ('" ', '"'), (' "', '"')):
        text = text.replace(before, after)
    return re.sub(r" (['.,])", r"\1", text)


def test_paper_prompts_follow_the_authors_rules() -> None:
    rows = {name: list(_task(name, "paper").eval_docs) for name in TASKS}
    first = {name: rows[name][0] for name in TASKS}

    row = first["sst2"]
    question = "Question: Is this sentence positive or negative?\nAnswer:"
    assert _sent("sst2", "paper")[0] == (
        f"{_detokenized(row['sentence'])}\n{question}",
        " negative",
    )
    assert " 's" not in "".join(context for context, _ in _sent("sst2", "paper"))
    assert " 's" in "".join(context for context, _ in _sent("sst2", "modern"))

    row = first["mrpc"]
    one, two = (_detokenized(row[key]) for key in ("sentence1", "sentence2"))
    question = "Question: Do both sentences mean the same thing?\nAnswer:"
    assert _sent("mrpc", "paper")[0] == (f"Sentence 1: {one}\nSentence 2: {two}\n{question}", " no")

    row = first["wsc273"]
    rest = row["text"][row["pronoun_loc"] + len(row["pronoun"]) :].strip()
    begin = row["text"][: row["pronoun_loc"]]
    assert _sent("wsc273", "paper")[0] == (begin + row["options"][0], f" {rest}")
    assert _sent("wsc273", "modern")[0][1] == f"  {rest}"

    row = first["record"]
    choice = row["query"].replace("@placeholder", row["entities"][0])
    assert _sent("record", "paper")[0][1] == f"  - {choice}"
    assert _sent("record", "modern")[0][1] == f"   - {choice}"

    for row, (context, _) in zip(rows["sciq"], _sent("sciq", "paper")[::4], strict=True):
        assert context == f"{row['support']}\nQuestion: {row['question']}\nAnswer:".strip()

    clozes = 0
    for row, (context, _) in zip(rows["race"], _sent("race", "paper")[::4], strict=True):
        *answered, last = ast.literal_eval(row["problems"])
        text = f"Article: {row['article']}\n\n"
        for problem in answered:
            answer = problem["options"]["ABCD".index(problem["answer"])]
            if problem["question"].endswith("  _  ."):
                clozes += 1
                text += f"{problem['question'][-5:]}{answer}\n"
            else:
                text += f"Question: {problem['question']}\nAnswer: {answer}\n"
        assert context == text + last["question"]
    assert clozes, "the demo's examples must have a cloze before the last question"


@pytest.mark.parametrize(
    "name", sorted({*TASKS} - {"sst2", "mrpc", "wsc273", "record", "sciq", "race"})
)
def test_all_other_prompts_are_stock_in_both_protocols(name: str) -> None:
    assert _sent(name, "paper") == _sent(name, "modern")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"gpt2": gpt2_tokenizer(), "t5": t5_tokenizer(tmp_path_factory.mktemp("t5") / "made")}


def _models(tokenizers: dict[str, Any], kind: str, **options: Any) -> tuple[HFLM, LaminiLM]:
    """lm-eval's own model class and ours, with the same weights."""
    tokenizer = tokenizers[kind]
    model = small_model(kind, tokenizer, **({"n_positions": 1024} if kind == "gpt2" else {}))
    longest = {"max_length": 1024}
    ours = LaminiLM(model, tokenizer=tokenizer, **longest, **options)
    return HFLM(model, tokenizer=tokenizer, batch_size=8, **longest), ours


def test_a_wrapped_request_is_that_of_the_authors(tokenizers: dict[str, Any]) -> None:
    _, ours = _models(tokenizers, "gpt2", prompt_format=text_format("alpaca"))
    tokenizer, compared = tokenizers["gpt2"], 0
    for name in TASKS:
        pairs = _sent(name, "paper")
        for (context, continuation), request in zip(pairs, ours.encoder.encode(pairs), strict=True):
            wrapped = WRAPPER.format(instruction=context)
            assert request.context.tolist() == tokenizer.encode(wrapped)
            assert request.continuation.tolist() == tokenizer.encode(continuation)
            compared += 1
    assert compared == 490


@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
def test_the_chat_template_gives_plain_lm_eval_the_same_requests(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the delimiter, which chat mode drops; without it a continuation begins in no space."""
    tokenizer: Any = gpt2_tokenizer() if kind == "gpt2" else llama3()
    template = chat_template(tokenizer, "alpaca")
    monkeypatch.setattr(tokenizer, "chat_template", template, raising=False)
    model, longest = small_model("gpt2", tokenizer, n_positions=1024), {"max_length": 1024}
    ours = LaminiLM(
        model,
        tokenizer=tokenizer,
        prompt_format=text_format("alpaca"),
        protocol="modern",
        **longest,
    )
    for delimiter in (" ", ""):
        stock = HFLM(
            model, tokenizer=tokenizer, chat_template_args={"delimiter": delimiter}, **longest
        )
        chat = {"apply_chat_template": True, "chat_template": stock.apply_chat_template}
        for name in TASKS:
            sent = _sent(name, "modern")
            if not delimiter:
                sent = [(context, text[1:]) for context, text in sent]
            in_chat_mode = _sent(name, "modern", tokenizer_name="", **chat)
            for (context, text), request in zip(
                in_chat_mode, ours.encoder.encode(sent), strict=True
            ):
                before, after = stock._encode_pair(context, text)
                assert request is not None
                assert before == request.context.tolist(), name
                assert after == request.continuation.tolist(), name


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_modern_scores_are_those_of_stock_lm_eval(kind: str, tokenizers: dict[str, Any]) -> None:
    stock, ours = _models(tokenizers, kind, protocol="modern", max_encoder_tokens=1024)
    tasks = {name: _task(name, "modern") for name in TASKS}
    results = []
    for model in (stock, ours):
        measured = evaluate(model, {"tasks": tasks}, bootstrap_iters=0)
        assert measured is not None
        results.append(measured)
        for task in tasks.values():
            task._instances = None
    assert ours.way_fields() == {"way": "shared"}
    for name, settings in TASKS.items():
        theirs, mine = (r["results"][name][f"{settings.metric},none"] for r in results)
        assert theirs == mine, name
        for expected, found in zip(*(r["samples"][name] for r in results), strict=True):
            np.testing.assert_allclose(
                [answer[0] for answer in expected["filtered_resps"]],
                [answer[0] for answer in found["filtered_resps"]],
                atol=1e-3,
                err_msg=name,
            )


def test_t5s_targets_end_only_in_the_papers_protocol(tokenizers: dict[str, Any]) -> None:
    for protocol, ended in (("paper", True), ("modern", False)):
        _, ours = _models(tokenizers, "t5", protocol=protocol)
        (request,) = ours.encoder.encode([("the sea", " True")])
        assert (request.continuation[-1] == 1) == ended
        assert request.context[-1] == 1
    assert _models(tokenizers, "t5", protocol="paper")[1].encoder.max_tokens == 2048


def test_a_long_context_is_cut_inside_its_wrapper(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["gpt2"]
    _, ours = _models(tokenizers, "gpt2", prompt_format=text_format("alpaca"))
    context = " ".join(str(n) for n in range(2000))
    (request,) = ours.encoder.encode([(context, " the end")])
    assert len(request.context) + len(request.continuation) == 1025
    assert ours.encoder.truncated == 1
    text = tokenizer.decode(request.context)
    before, after = WRAPPER.split("{instruction}")
    assert text.startswith(before)
    assert text.endswith(after)
    kept = text.removeprefix(before).removesuffix(after)
    assert context.endswith(kept)
    assert ours.encoder.encode([("short", " one")])[0].context[0] == request.context[0]
    assert ours.encoder.truncated == 1
    ours.encoder.encode([(context, " once more")])
    assert ours.encoder.truncated == 2


def test_a_long_context_without_a_wrapper_keeps_its_last_tokens(tokenizers: dict[str, Any]) -> None:
    _, ours = _models(tokenizers, "gpt2")
    context = " ".join(str(n) for n in range(2000))
    (request,) = ours.encoder.encode([(context, " the end")])
    everything = tokenizers["gpt2"](context)["input_ids"]
    room = 1025 - len(request.continuation)
    assert request.context.tolist() == everything[-room:]


def test_answers_are_compared_as_squad_does() -> None:
    assert squad.compute_exact("The  Eiffel Tower!", "eiffel tower") == 1
    assert squad.compute_f1("Barack Obama", "obama") == pytest.approx(2 / 3)
    assert squad.compute_f1("the", "a") == 1.0
    assert squad.compute_f1("yes", "") == 0.0


def test_a_wrong_method_is_refused(
    tokenizers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = scoring.ancestor_mask
    monkeypatch.setattr(scoring, "ancestor_mask", lambda ends: right(ends + 99))
    stock, ours = _models(tokenizers, "gpt2", protocol="modern")
    task = _task("piqa", "modern")
    task.build_all_requests()
    scores = ours.loglikelihood(task.instances)
    assert ours.way_fields()["way"] == "rows"
    for ours_, stocks in zip(scores, stock.loglikelihood(task.instances), strict=True):
        assert ours_[0] == pytest.approx(stocks[0], abs=1e-4)
        assert ours_[1] == stocks[1]


def test_the_mirror_of_the_tests_is_complete() -> None:
    assert all((Path(MIRROR) / mirror_path(task.data)).is_file() for task in TASKS.values())
