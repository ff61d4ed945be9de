"""Replies in all the forms that endpoints send: completions, refusals of a prompt, errors."""

import json
from typing import Any

import pytest

from lamini.errors import LaminiError
from lamini.generation.texts import response_flags
from lamini.teacher.completions import Completion
from lamini.teacher.replies import PromptRefused, RetryableError, read_reply
from lamini.thoughts import split_thoughts

URL = "http://teacher/v1/chat/completions"
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


def read(body: Any, status: int = 200, **headers: str) -> Completion:
    """Read a reply; `body` is JSON, text or bytes."""
    if isinstance(body, dict | list):
        body = json.dumps(body)
    return read_reply(URL, status, headers, body if isinstance(body, bytes) else body.encode())


def completion(message: Any = None, reason: str | None = "stop", **others: Any) -> dict[str, Any]:
    """The body of a completion; `message` may be its content."""
    message = {"role": "assistant", "content": message} if isinstance(message, str) else message
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "c", "model": "m", "choices": [choice], "usage": USAGE, **others}


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]},
    {"type": "text", "text": "go"},
    {"type": "text", "text": "od"},
]
GOOD_IN_OTHER_DRESS: dict[str, Any] = {
    "null error": completion("good", error=None),
    "empty error": completion("good", error={}),
    "parts": completion({"content": PARTS}),
    "strings": completion({"content": ["go", "od"]}),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(completion("good")).encode(),
    "text choice": {"choices": [{"text": "good", "finish_reason": "stop"}], "usage": USAGE},
    "events": (
        'data: {"id": "c", "choices": [{"delta": {"content": "go"}}]}\n\n'
        'data: {"choices": [{"delta": {"content": "od"}, "finish_reason": "stop"}]}\n\n'
        'data: {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 10}}\n\n'
        "data: [DONE]\n"
    ),
    "thoughts": completion("<think>\nhm, go?\n</think>\n\ngood"),
    "thoughts without a beginning": completion("so: go</think>good"),
    "thoughts apart": completion({"content": "good", "reasoning_content": "hm"}),
    "channels": completion(
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>good"
    ),
}


@pytest.mark.parametrize("form", GOOD_IN_OTHER_DRESS)
@pytest.mark.parametrize("status", [200, 201])
def test_a_good_answer_is_taken_in_every_form(form: str, status: int) -> None:
    found = read(GOOD_IN_OTHER_DRESS[form], status)
    assert (found.text, found.finish_reason, found.broken) == ("good", "stop", False)
    assert (found.prompt_tokens, found.completion_tokens, found.told) == (20, 10, True)
    assert bool(found.thoughts) == ("thoughts" in form or form in ("parts", "channels"))


def test_another_character_set_is_read_as_declared() -> None:
    raw = json.dumps(completion("Käse"), ensure_ascii=False).encode("latin-1")
    assert read(raw, **{"content-type": "application/json; charset=latin-1"}).text == "Käse"


@pytest.mark.parametrize("message", [None, {}, {"role": "assistant"}, {"content": None}, []])
@pytest.mark.parametrize("reason", ["length", "content_filter", "stop", None])
def test_an_answer_without_content_is_empty(message: Any, reason: str | None) -> None:
    found = read(completion(message, reason))
    assert (found.text, found.finish_reason) == ("", reason or "")
    assert not found.broken
    flags = response_flags(found.text, found.finish_reason)
    assert flags == (["empty"] if reason == "stop" else ["empty", "truncated"])


@pytest.mark.parametrize("choices", [[], None, [None], "x"])
def test_an_answer_without_choices_is_asked_for_once_more(choices: Any) -> None:
    found = read({"choices": choices, "usage": USAGE})
    assert (found.text, found.broken, found.prompt_tokens) == ("", True, 20)


REASONS = {
    "whole": ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE"],
    "cut": ["length", "max_tokens", "MAX_TOKENS", "model_length", "content_filter", "SAFETY", "x"],
    "broken": ["error", "abort", "insufficient_system_resource", "cancelled"],
}


@pytest.mark.parametrize(("kind", "reason"), [(k, r) for k, each in REASONS.items() for r in each])
def test_every_finish_reason_but_good_ones_is_flagged(kind: str, reason: str) -> None:
    found = read(completion("half an answ", reason))
    assert found.finish_reason == reason  # as the endpoint says it
    assert found.broken == (kind == "broken")
    assert response_flags(found.text, found.finish_reason) == ["truncated"] * (kind != "whole")


def test_an_error_in_the_choice_is_a_broken_answer() -> None:
    body = completion("half")
    body["choices"][0]["error"] = {"code": 502, "message": "upstream"}
    assert read(body).broken


def test_a_structured_refusal_is_a_refusal() -> None:
    found = read(completion({"content": None, "refusal": "That is against the rules."}))
    assert found.text == "That is against the rules."
    assert response_flags(found.text, found.finish_reason) == ["refusal"]


@pytest.mark.parametrize(
    ("usage", "tokens", "told"),
    [
        (None, (0, 0, 0), False),
        ({}, (0, 0, 0), False),
        ({"prompt_tokens": None, "completion_tokens": None}, (0, 0, 0), False),
        ({"prompt_tokens": -1, "completion_tokens": 5}, (0, 5, 0), False),
        ({"prompt_tokens": 10, "completion_tokens": -5}, (10, 0, 0), False),
        ({"prompt_tokens": 10, "completion_tokens": 0}, (10, 0, 0), False),  # the text has some
        ({"prompt_tokens": 10**30, "completion_tokens": 5}, (0, 5, 0), False),
        ({"prompt_tokens": "10", "completion_tokens": True}, (0, 0, 0), False),
        ({"prompt_tokens": float("nan"), "completion_tokens": [5]}, (0, 0, 0), False),
        ({"total_tokens": 15}, (0, 15, 0), False),
        ({"prompt_tokens": 10, "total_tokens": 15}, (10, 5, 0), True),
        # Thoughts outside `completion_tokens`
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 515}, (10, 505, 0), True),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
            (10, 5, 8),
            True,
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 7},
            (10, 5, 7),
            True,
        ),
    ],
)
def test_tokens_are_those_that_are_paid_for(
    usage: Any, tokens: tuple[int, int, int], told: bool
) -> None:
    found = read(completion("x", usage=usage))
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == tokens
    assert found.told == told


def error(message: str, **others: Any) -> dict[str, Any]:
    return {"error": {"message": message, **others}}


TOO_LONG: list[tuple[int, Any]] = [
    (400, error("This model's maximum context length is 4096 tokens. However, ...", code=400)),
    (
        400,
        {"object": "error", "message": "The input (9 tokens) is longer than the model's"},
    ),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"}),
    (400, error("Trying to keep the first 9 tokens when context overflows. Context length is 8")),
    (
        400,
        error("prompt is too long: 210000 tokens > 200000", type="invalid_request_error"),
    ),
    (400, [error("The input token count (9) exceeds the maximum number of tokens allowed (8).")]),
    (400, error("Invalid 'content': string too long.", code="string_above_max_length")),
    (400, error("x", code="context_length_exceeded")),
    (400, error("x", type="exceed_context_size_error")),
    (413, error("Request too large for model", type="tokens")),
    (413, "<html>Payload Too Large</html>"),
]
FILTERED: list[tuple[int, Any]] = [
    (400, error("Invalid prompt: your prompt was flagged", code="invalid_prompt")),
    (403, error("m requires moderation. Your input was flagged", code=403)),
    (400, error("Content Exists Risk", type="invalid_request_error")),
    (400, error("Input data may contain inappropriate content.", code="data_inspection_failed")),
    (400, error("x", code="content_filter")),
    (400, error("x", code="content_policy_violation")),
]


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
def test_a_prompt_that_is_too_long_is_refused_alone(status: int, body: Any) -> None:
    with pytest.raises(PromptRefused) as refused:
        read(body, status)
    assert (refused.value.finish_reason, refused.value.certain) == ("context_length", True)


@pytest.mark.parametrize(("status", "body"), FILTERED)
def test_a_filtered_prompt_is_refused_alone(status: int, body: Any) -> None:
    with pytest.raises(PromptRefused) as refused:
        read(body, status)
    assert (refused.value.finish_reason, refused.value.certain) == ("content_filter", True)
    assert not refused.value.passing


@pytest.mark.parametrize(
    ("status", "body", "passing"),
    [
        (403, "<html>Request blocked by the firewall</html>", True),
        (404, "<html>default backend - 404</html>", True),
        (400, error("temperature must be 1"), False),
        (422, error("unprocessable"), False),
    ],
)
def test_the_reason_of_other_refusals_is_not_known(status: int, body: Any, passing: bool) -> None:
    with pytest.raises(PromptRefused) as refused:
        read(body, status)
    assert (refused.value.finish_reason, refused.value.certain) == ("refused", False)
    assert refused.value.passing == passing
    row = refused.value.completion()
    assert (row.text, row.prompt_tokens, row.refusal) == ("", 0, str(refused.value))


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, error("Incorrect API key"), "set the key"),
        (402, error("Payment required"), "402"),
        (404, error("The model does not exist", code="model_not_found"), "correct teacher.model"),
        (429, error("You exceeded your quota", code="insufficient_quota"), "add credit"),
        (403, error("no access", code="invalid_api_key"), "the key"),
        (405, "", "405"),
    ],
)
def test_an_error_of_all_requests_ends_the_job(status: int, body: Any, said: str) -> None:
    with pytest.raises(LaminiError, match=said):
        read(body, status)


@pytest.mark.parametrize("status", [202, 204, 408, 409, 424, 425, 429, 499, 500, 502, 503, 529])
def test_passing_errors_are_tried_again(status: int) -> None:
    with pytest.raises(RetryableError) as found:
        read("" if status == 204 else "<html>later</html>", status)
    assert not found.value.paid


def test_a_date_is_measured_by_the_clock_of_the_endpoint() -> None:
    headers = {
        "retry-after": "Thu, 26 Nov 2026 10:00:07 GMT",
        "date": "Thu, 26 Nov 2026 10:00:00 GMT",
    }
    with pytest.raises(RetryableError) as found:
        read(error("later"), 429, **headers)
    assert found.value.retry_after == 7.0


THOUGHTS = {
    "<think>a</think>b": ("b", "<think>a</think>"),
    " <thinking>\na\n</thinking>\n\nb": ("b", " <thinking>\na\n</thinking>"),
    "[THINK]a[/THINK]b": ("b", "[THINK]a[/THINK]"),
    "<think>a</think><think>c</think>b": ("b", "<think>a</think><think>c</think>"),
    "<think></think>\n\nb": ("b", "<think></think>"),
    "a, so b.\n</think>\n\nb": ("b", "a, so b.\n</think>"),
    "<think>a, cut at the lim": ("", "<think>a, cut at the lim"),
    "<|channel|>analysis<|message|>cut": ("", "<|channel|>analysis<|message|>cut"),
    "analysisWe need b.assistantfinalb": ("b", ""),
    "b": ("b", ""),
    "analysis of b": ("analysis of b", ""),
    "The tag <think> opens a thought, </think> ends it.": (
        "The tag <think> opens a thought, </think> ends it.",
        "",
    ),
    "x < y and [1, 2]": ("x < y and [1, 2]", ""),
}


@pytest.mark.parametrize("text", THOUGHTS)
def test_thoughts_are_no_part_of_the_answer(text: str) -> None:
    answer, thoughts = THOUGHTS[text]
    assert split_thoughts(text) == (answer, thoughts)
    assert split_thoughts(answer)[0] == answer
