"""A teacher's thoughts (`thinking`): in the pairs, in the dataset, and in the supervised tokens."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from test_dataset_merge import merge, pair, params, write_shards
from test_students_chat import CONFIG, _tokenizer

from lamini.dataset.published import import_published
from lamini.errors import LaminiError
from lamini.files import read_jsonl
from lamini.settings.params.common import Location
from lamini.settings.params.dataset import MergePairs
from lamini.settings.params.students import ChatTemplate, TokenizePairs
from lamini.settings.root import Config
from lamini.students.chat import INEXACT
from lamini.students.token_cache import UNUSABLE, TokenCache
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import load_tokenizer
from lamini.teacher.rows import answer_of_row
from lamini.thoughts import split_thoughts, with_thoughts

BOTH = "<think>\nTwo and two.\n</think>\n\n4"
HOSTILE = ["", "  ", "</think>", "a</think>b", "<think>", "[THINK]x[/THINK]", "<|channel|>analysis"]


def test_thoughts_have_one_form_and_are_split_again() -> None:
    assert with_thoughts("Two and two.", "4") == BOTH
    assert with_thoughts("<think>\nTwo and two.</think>\n\n", "4") == BOTH
    assert split_thoughts(BOTH) == ("4", BOTH.removesuffix("\n\n4"))
    for thoughts in HOSTILE:
        for answer in ("4", "x < 5", "[1] and </b>"):
            text = with_thoughts(thoughts, answer)
            assert split_thoughts(text)[0] == answer
            assert with_thoughts(*reversed(split_thoughts(text))) == text
    assert with_thoughts("a</think>b", "4") == "<think>\nab\n</think>\n\n4"
    assert with_thoughts("</think>", "4") == "4"


@pytest.mark.parametrize(
    ("fields", "text", "thoughts"),
    [
        ({"text": "4"}, "4", ""),
        ({"text": "4", "thoughts": "Two."}, "4", "Two."),
        ({"text": "<think>Two.</think>4"}, "4", "<think>Two.</think>"),
    ],
)
def test_answers_of_the_ledger_have_their_thoughts(
    fields: dict[str, str], text: str, thoughts: str
) -> None:
    row: Any = {"key": "k", "prompt_tokens": 1, "completion_tokens": 2, "finish_reason": "stop"}
    row |= {"model": "m", "request_id": "", "attempts": 1, "sent_at": 0.0, **fields}
    answer = answer_of_row(row, cached=True)
    assert (answer.text, answer.thoughts) == (text, thoughts)


ROWS = [
    pair("s", 0, response="4", thoughts="Two and two."),
    pair("s", 1, response="No thoughts."),
    pair("s", 2, response="<think>Inside.</think>Yes", flags=["refusal"]),
    pair("s", 3, response="", thoughts="Cut off"),
    pair("s", 4, response="<think>Not closed. a@b.org", flags=["truncated"]),
    pair("s", 5, response="ok", thoughts="Write to a@b.org </think>"),
]


@pytest.mark.parametrize(
    ("thinking", "responses", "dropped"),
    [
        (
            None,
            ["4", "No thoughts.", "<think>Inside.</think>Yes", "<think>Not closed. [EMAIL]", "ok"],
            {"empty_response": 1},
        ),
        ("strip", ["4", "No thoughts.", "Yes", "ok"], {"no_answer": 2}),
        (
            "keep",
            [
                BOTH,
                "No thoughts.",
                "<think>\nInside.\n</think>\n\nYes",
                "<think>\nWrite to [EMAIL]\n</think>\n\nok",
            ],
            {"no_answer": 2},
        ),
    ],
)
def test_a_mixture_keeps_or_strips_thoughts(
    tmp_path: Path, thinking: str | None, responses: list[str], dropped: dict[str, int]
) -> None:
    shards = write_shards(tmp_path, "s", ROWS, 1)
    settings = params("s", thinking=thinking, mask_personal_data=["email"])
    manifest = merge(tmp_path, shards, settings)
    table = pl.read_parquet(tmp_path / "mix.parquet")
    assert table["response"].to_list() == responses
    counted = manifest["sources"]["s"]["dropped"]
    assert {reason: n for reason, n in counted.items() if n} == dropped
    assert manifest["settings"].get("thinking") == thinking
    assert ("thinking" in settings.as_params()) == (thinking is not None)
    card = (tmp_path / "mix.card.md").read_text()
    assert ("thoughts" in card) == (thinking is not None)
    kept = merge(tmp_path, shards, params("s", thinking="mask", mask_personal_data=["email"]))
    if thinking == "keep":
        assert kept["sha256"] == manifest["sha256"]


def test_the_released_datasets_thoughts_are_kept_as_they_are_or_stripped(tmp_path: Path) -> None:
    texts = ["<think>a</think>b", "plain", "<think>open", ""]
    rows = {"instruction": ["q"] * 4, "response": texts, "instruction_source": ["s"] * 4}
    pl.DataFrame(rows).write_parquet(tmp_path / "data.parquet")
    read = {}
    for thinking in (None, "strip", "keep"):
        settings = MergePairs.model_validate(
            {
                "mixture": "mix",
                "sources": ["s"],
                "published": {"local": {"path": str(tmp_path / "data.parquet")}},
                "files": None,
                "thinking": thinking,
            }
        )
        import_published(
            hits=[],
            dataset=tmp_path / "mix.parquet",
            manifest=tmp_path / "manifest.json",
            card=tmp_path / "card.md",
            settings=settings,
        )
        read[thinking] = pl.read_parquet(tmp_path / "mix.parquet")["response"].to_list()
    assert read == {
        None: texts,
        "strip": ["b", "plain", ""],
        "keep": ["<think>\na\n</think>\n\nb", "plain", ""],
    }


def _cache(folder: Path, settings: TokenizePairs, responses: list[str]) -> TokenCache:
    instructions = [f"Add {number}." for number in range(len(responses))]
    rows = pl.DataFrame({"instruction": instructions, "response": responses})
    rows.write_parquet(folder / "pairs.parquet")
    tokenize_pairs(
        dataset=folder / "pairs.parquet",
        manifest=folder / "cache" / "manifest.json",
        settings=settings,
    )
    return TokenCache(folder / "cache")


@pytest.mark.parametrize("form", ["chat", "alpaca"])
def test_masked_thoughts_are_read_but_not_supervised(tmp_path: Path, form: str) -> None:
    _tokenizer("qwen3").save_pretrained(tmp_path / "own")
    place = Location(path=str(tmp_path / "own"))
    chat = ChatTemplate() if form == "chat" else None
    tokenizer = load_tokenizer(place.path)
    texts = [BOTH, "plain", "<think>\nx\n</think>\n\ny <think>z</think>"]
    answers = ["4", "plain", "y <think>z</think>"]
    caches = {}
    for thinking in ("keep", "mask"):
        settings = TokenizePairs(
            tokenizer=place, prompt_format=form, chat=chat, pad_token=None, thinking=thinking
        )
        (tmp_path / thinking).mkdir()
        caches[thinking] = _cache(tmp_path / thinking, settings, texts)
        left_out = list(read_jsonl(tmp_path / thinking / "cache" / UNUSABLE))
        # Qwen3's template takes all up to the last closing tag as thoughts.
        inexact = [{"pair": 2, "reason": INEXACT}] if (form, thinking) == ("chat", "mask") else []
        assert left_out == inexact
    end = "<|im_end|>" if form == "chat" else tokenizer.eos_token
    usable = zip(texts, answers, strict=True) if form == "alpaca" else [(BOTH, "4"), ("plain",) * 2]
    for number, (text, answer) in enumerate(usable):
        masked, kept = (caches[name] for name in ("mask", "keep"))
        assert tokenizer.decode(kept.response(number)).removesuffix(end).endswith(text)
        whole = [
            tokenizer.decode([*cache.prompt(number), *cache.response(number)])
            for cache in (kept, masked)
        ]
        assert whole[0] == whole[1]
        opening = "<think>\n\n</think>\n\n" if answer == "plain" and form == "chat" else ""
        assert tokenizer.decode(masked.response(number)) == f"{opening}{answer}{end}"


def test_a_template_that_turns_thoughts_off_is_refused(tmp_path: Path) -> None:
    _tokenizer("qwen3").save_pretrained(tmp_path / "own")
    off = ChatTemplate(options={"enable_thinking": False})
    settings = TokenizePairs(
        tokenizer=Location(path=str(tmp_path / "own")),
        prompt_format="chat",
        chat=off,
        pad_token=None,
        thinking="keep",
    )
    with pytest.raises(LaminiError, match="leaves out the thoughts of an answer, or its prompt"):
        _cache(tmp_path, settings, [BOTH])


def test_settings_refuse_thoughts_that_a_student_cannot_have() -> None:
    paper: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks"):
        paper |= yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    paper["mixtures"]["d_all"]["thinking"] = "mask"
    message = "mask is for decoder-only students, and lamini-t5-61m is encoder-decoder"
    with pytest.raises(ValueError, match=message):
        Config.model_validate(paper)
    paper["students"] = ["lamini-gpt-124m"]
    paper["human_evaluation"] = {}
    Config.model_validate(paper)
    tokenizer = {"folder": "own", "prompt_format": "chat"}
    paper["tokenizers"]["gpt2"] = {**tokenizer, "chat": {"options": {"enable_thinking": False}}}
    with pytest.raises(ValueError, match="the prompts of lamini-gpt-124m turn thoughts off"):
        Config.model_validate(paper)
    paper["mixtures"]["d_all"]["thinking"] = "strip"
    Config.model_validate(paper)
