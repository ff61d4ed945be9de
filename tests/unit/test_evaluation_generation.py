"""Generated texts depend on prompt and settings, not on the batch or the model's folder."""

from types import SimpleNamespace
from typing import Any

import families
import numpy as np
import pytest
import torch
from evaluation_cases import gpt2_tokenizer, small_model, t5_tokenizer
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizer_kinds import llama3
from training_cases import CONFIGS, NUMBERED, VOCABULARY, tiny_model

from lamini.errors import LaminiError
from lamini.evaluation.decoding import Decoding, GumbelSampling
from lamini.evaluation.generation import Generated, Generator
from lamini.evaluation.generation_rows import AfterTexts
from lamini.evaluation.harness import LaminiLM
from lamini.evaluation.wrapper import Prompt, fit_prompts
from lamini.prompt_formats import prompt_parts, render_prompt, text_format

TOKENS: Any = SimpleNamespace(pad_token_id=0, eos_token_id=1, bos_token_id=1)
REFUSED = {
    "axk2",
    "bigbird_pegasus-sparse",
    "blt",
    "camembert",
    "data2vec-text",
    "deepseek_v32",
    "deepseek_v4",
    "doge-masked",
    "dots3_note",
    "dots3_note_text",
    "encoder-decoder",
    "fsmt",
    "glm_moe_dsa",
    "hrm_text",
    "hy_v4",
    "moshi",
    "prophetnet",
    "prophetnet-decoder",
    "roberta",
    "roberta-prelayernorm",
    "switch_transformers",
    "xlm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xlnet",
    "xlstm",
    "xmod",
}
"""Families to which transformers' generation gives other probabilities than their own forward does
(by other positions, or sparse attention that sees the cache), or whose own forward fails."""
OF_ITS_HISTORY = "llama-dynamic_rope"
"""Its positions depend on the longest text that it was given before."""


def _model(name: str) -> Any:
    """A tiny random model whose texts have different contents and lengths."""
    model = tiny_model(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def _prompts(count: int = 9) -> list[Prompt]:
    generator = np.random.default_rng(0)
    lengths = [3, 40, 5, 5, 23, 12, 30, 8, 40][:count]
    return [Prompt("", generator.integers(2, VOCABULARY, size=n).tolist(), 0) for n in lengths]


def _texts(generator: Generator, prompts: list[Prompt], decoding: Decoding) -> list[Generated]:
    found: dict[int, Generated] = {}
    for batch in generator.generate(prompts, range(len(prompts)), decoding):
        found |= batch
    return [found[number] for number in range(len(prompts))]


def _plain(model: Any, prompt: list[int], count: int) -> list[int]:
    """Greedy decoding by definition: a forward pass of the whole sequence for each token."""
    fed, new = torch.tensor([prompt]), [0]  # tokens of an encoder-decoder start with 0
    while len(new) <= count and new[-1] != 1:
        with torch.no_grad():
            if model.config.is_encoder_decoder:
                logits = model(input_ids=fed, decoder_input_ids=torch.tensor([new])).logits
            else:
                whole = torch.cat([fed, torch.tensor([new[1:]], dtype=torch.long)], dim=1)
                logits = model(input_ids=whole, use_cache=False).logits
        new.append(int(logits[0, -1].argmax()))
    return new[1:]


@pytest.mark.parametrize("name", [*CONFIGS, *NUMBERED])
def test_a_batch_generates_what_each_prompt_alone_does(name: str) -> None:
    model, prompts = _model(name), _prompts()
    together = _texts(Generator("tiny", model, TOKENS, 10_000), prompts, Decoding(12))
    alone = _texts(Generator("tiny", model, TOKENS, 1), prompts, Decoding(12))
    assert together == alone
    for prompt, text in zip(prompts, together, strict=True):
        assert text.tokens + [1] * text.ended == _plain(model, prompt.tokens, 12)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt-neo", "t5"])
def test_ended_texts_leave_their_batch(name: str) -> None:
    """Each step computes at most twice as many rows as are needed."""
    model, prompts, decoding = _model(name), _prompts(), Decoding(40, 1.0)
    model.generation_config.eos_token_id = list(range(1, 9))
    rows: list[int] = []
    decoder = model.get_decoder() if model.config.is_encoder_decoder else model
    decoder.register_forward_pre_hook(
        lambda _, __, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    alone = _texts(Generator("tiny", model, TOKENS, 1), prompts, decoding)
    generator = Generator("tiny", model, TOKENS, 10_000)
    assert _texts(generator, prompts, decoding) == alone
    assert generator.shrinks
    rows.clear()
    assert generator._batch(prompts, list(range(len(prompts))), decoding) == alone
    steps = [len(text.tokens) + text.ended for text in alone]
    assert len(set(steps)) > 2, "the texts have different lengths"
    needed = [sum(count > step for count in steps) for step in range(max(steps))]
    assert 2 * needed[-1] < needed[0]
    assert rows == [_batch_size(needed, step) for step in range(max(steps))]


def _batch_size(needed: list[int], step: int) -> int:
    """Rows of a batch in a step: those that were left when half of the earlier ones had ended."""
    size = needed[0]
    for left in needed[1 : step + 1]:
        size = left if 2 * left <= size else size
    return size


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*families.FAMILIES} - families.NOT_CAUSAL - REFUSED))
def test_each_family_generates_in_batches_what_it_does_alone(name: str) -> None:
    """Most are padded; some derive positions from the row, or mix the rows of a batch."""
    model = families.build(name).eval()
    prompts = [Prompt("", prompt.tokens[:23], 0) for prompt in _prompts()]
    generator = Generator(name, model, TOKENS, 10_000)
    together = _texts(generator, prompts, Decoding(8))
    assert generator.choice is not None
    alone = _texts(Generator(name, model, TOKENS, 1), prompts, Decoding(8))
    assert together == alone or name == OF_ITS_HISTORY


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_family_that_fails_is_named(name: str) -> None:
    generator = Generator(name, families.build(name).eval(), TOKENS)
    with pytest.raises(LaminiError, match=f"^{name}: "):
        _texts(generator, _prompts(), Decoding(8))


@pytest.mark.parametrize(
    ("name", "way"), [("llama", "padded"), ("git", "alike"), ("rwkv", "alone")]
)
def test_batches_keep_to_their_budget_and_hold_what_is_proven(
    name: str, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batches = []

    def note(_: Any, prompts: list[Prompt], *others: Any) -> list[Generated]:
        batches.append([len(prompt.tokens) for prompt in prompts])
        return [Generated([], True)] * len(prompts)

    monkeypatch.setattr(Generator, "_batch", note)
    generator = Generator("small", families.build(name).eval(), TOKENS, 104)
    _texts(generator, _prompts(), Decoding(12))
    assert (
        batches
        == {
            "padded": [[40, 40], [30, 23], [12, 8, 5, 5], [3]],
            "alike": [[40, 40], [30], [23], [12], [8], [5, 5], [3]],
            "alone": [[40], [40], [30], [23], [12], [8], [5], [5], [3]],
        }[way]
    )
    assert generator.choice is not None
    assert generator.choice.way == way
    assert ("not computed by the way `padded`" in caplog.text) == (way != "padded")


SETTINGS_OF_A_FOLDER: list[dict[str, Any]] = [
    {"repetition_penalty": 1.9},
    {"num_beams": 3},
    {"no_repeat_ngram_size": 1},
    {"do_sample": True, "temperature": 9.0},
    {"suppress_tokens": list(range(2, 60))},
    {"begin_suppress_tokens": list(range(2, 60))},
    {"forced_eos_token_id": 3},
    {"min_new_tokens": 12},
    {"bad_words_ids": [[token] for token in range(2, 60)]},
    {"max_new_tokens": 2},
    {"max_length": 4},
    {"renormalize_logits": True, "num_beams": 2},
    {"exponential_decay_length_penalty": [1, 9.0]},
    {"sequence_bias": [[[3], 50.0]]},
]


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_the_folders_generation_settings_have_no_effect(name: str) -> None:
    model, prompts = _model(name), _prompts(4)
    expected = _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12))
    drawn = _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12, temperature=1.0))
    assert drawn != expected
    ends = model.generation_config.eos_token_id
    changing = 0
    for settings in [*SETTINGS_OF_A_FOLDER, {"top_p": 0.1}, {"top_k": 1}, {"typical_p": 0.1}]:
        model.generation_config = type(model.generation_config)(
            eos_token_id=ends, pad_token_id=0, decoder_start_token_id=0, **settings
        )
        kept = model.generation_config
        assert _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12)) == expected, settings
        assert _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12, 1.0)) == drawn, (
            settings
        )
        assert model.generation_config is kept
        tokens = torch.tensor([prompts[0].tokens])
        limit = {} if "max_length" in settings else {"max_new_tokens": 12} | settings
        start = 1 if name == "t5" else tokens.shape[1]
        by_the_folder = model.generate(tokens, **limit)[0, start:].tolist()
        whole = expected[0].tokens + [1] * expected[0].ended
        changing += by_the_folder != whole
    assert changing >= 9, "the folder's generation settings must be able to change texts"


def test_the_folders_end_tokens_are_end_tokens() -> None:
    model, prompts = _model("llama"), _prompts()
    whole = [
        text.tokens for text in _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12))
    ]
    model.generation_config.eos_token_id = end = [whole[0][4], whole[1][6]]
    for before, text in zip(
        whole, _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12)), strict=True
    ):
        places = [place for place, token in enumerate(before) if token in end]
        assert text.tokens == (before[: places[0]] if places else before)
        assert text.ended == bool(places) or len(before) < 12
    model.generation_config.eos_token_id = 5
    assert set(Generator("tiny", model, TOKENS).ends) == {1, 5}


def test_draws_have_the_softmaxs_distribution_and_belong_to_their_prompt() -> None:
    scores = torch.tensor([0.5, -1.0, 1.5, -0.2])
    count = 4000
    draws = GumbelSampling(range(count), Decoding(1, 1.0))
    drawn = draws(torch.empty(0), scores.expand(count, 4)).argmax(dim=1)
    shares = torch.bincount(drawn, minlength=4) / count
    assert shares.tolist() == pytest.approx(scores.softmax(0).tolist(), abs=0.025)
    model, prompts = _model("gpt2"), _prompts()
    for decoding in (Decoding(12, 1.0), Decoding(12, 0.7, top_k=20, top_p=0.9)):
        together = _texts(Generator("tiny", model, TOKENS, 10_000), prompts, decoding)
        assert together == _texts(Generator("tiny", model, TOKENS, 1), prompts, decoding)
        assert together != _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12))
    only_the_best = Decoding(12, 1.0, top_k=1)
    greedy = _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12))
    assert _texts(Generator("tiny", model, TOKENS), prompts, only_the_best) == greedy


def test_a_batch_that_exceeds_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts, sizes = _model("gpt2"), _prompts(), []
    expected = _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12))
    right, most = Generator._batch, [200]

    def small(self: Generator, batch: list[Prompt], *others: Any) -> list[Generated]:
        sizes.append(len(batch))
        if len(batch) * (len(batch[0].tokens) + 12) > most[0]:
            raise torch.OutOfMemoryError
        return right(self, batch, *others)

    monkeypatch.setattr(Generator, "_batch", small)
    assert _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12)) == expected
    assert sizes == [9, 4, 2, 2, 4, 1]
    most[0] = 51
    with pytest.raises(LaminiError, match=r"longest text; use a larger GPU.*bf16"):
        _texts(Generator("tiny", model, TOKENS), prompts, Decoding(12))


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("t5") / "made"
    return {"gpt2": gpt2_tokenizer(), "llama3": llama3(), "t5": t5_tokenizer(folder)}


@pytest.mark.parametrize("prompt_format", ["alpaca", "bare"])
@pytest.mark.parametrize("kind", ["gpt2", "llama3", "t5"])
def test_a_long_prompt_is_cut_inside_its_wrapper(
    kind: str, prompt_format: str, tokenizers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = tokenizers[kind]
    instruction = "🦙" * 40 + " ".join(str(number) for number in range(500))
    texts = [render_prompt(prompt_format, text) for text in (instruction, "Sing.")]
    room = 150
    with caplog.at_level("WARNING", logger="lamini"):
        cut, short = fit_prompts(tokenizer, texts, text_format(prompt_format), room)
    assert "1 of 2 prompts are longer than the limit of 150 tokens" in caplog.text
    assert short == Prompt(texts[1], tokenizer(texts[1])["input_ids"], 0)
    assert room - 4 <= len(cut.tokens) <= room
    assert cut.tokens == tokenizer(cut.text)["input_ids"], (
        "the recorded prompt equals the sent prompt"
    )
    assert cut.dropped == len(tokenizer(texts[0])["input_ids"]) - len(cut.tokens)
    before, after = prompt_parts(prompt_format)
    assert cut.text.startswith(before)
    assert cut.text.endswith(f" 499{after}")
    assert instruction.endswith(cut.text.removeprefix(before).removesuffix(after))
    if prompt_format == "alpaca":
        with pytest.raises(LaminiError, match="its prompt format alone takes"):
            fit_prompts(tokenizer, texts, text_format(prompt_format), 10)


@pytest.mark.parametrize(
    ("name", "new", "room"),
    [("gpt2", 100, 28), ("bart", 100, 128), ("bart", 128, 128), ("t5", 5000, None)],
)
def test_a_prompt_has_the_room_that_the_models_positions_leave(
    name: str, new: int, room: int | None
) -> None:
    """Both kinds of positions are used to the last one: one more would be an error in the model."""
    model = _model(name)
    generator = Generator("tiny", model, TOKENS)
    assert generator.room(new) == room
    if room is None:
        return
    longest = Prompt("", list(range(2, 92)) * 2, 0)
    fitting = Prompt("", longest.tokens[:room], 0)
    assert len(_texts(generator, [fitting], Decoding(new))[0].tokens) <= new
    with pytest.raises(LaminiError, match=f"{129} new tokens leave no room .* 128 positions"):
        generator.room(129)


UNTIL = {"until": ["e", " the", "\n\n"], "max_gen_toks": 12, "do_sample": False}


def _requests(contexts: list[str], **settings: Any) -> list[Instance]:
    return [
        Instance("generate_until", {}, (context, {**settings}), number, ("task", number, 1))
        for number, context in enumerate(contexts)
    ]


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_text_tasks_are_those_of_stock_lm_eval_one_by_one(
    kind: str, tokenizers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tokenizers[kind]
    model = small_model(kind, tokenizer, **({"n_positions": 256} if kind == "gpt2" else {}))
    ours = LaminiLM(model, tokenizer=tokenizer, protocol="modern", max_length=256)
    stock = HFLM(model, tokenizer=tokenizer, batch_size=1, max_length=256)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    contexts = [f"Question {number}: " + "what is it? " * (number % 5) for number in range(20)]
    requests = [
        *_requests(contexts, **UNTIL),
        *_requests(contexts[:5], until=[], max_gen_toks=5),
        *_requests(contexts[:5], until=[], max_gen_toks=20, num_beams=2),
    ]
    sizes: list[int] = []
    right = Generator._batch
    monkeypatch.setattr(
        Generator, "_batch", lambda self, p, *o: sizes.append(len(p)) or right(self, p, *o)
    )
    texts = ours.generate_until(requests)
    assert sizes == [20, 5, 5]
    if kind == "t5":  # stock lets an encoder-decoder write as many more tokens as its prompt has
        for request in requests:
            request.args[1]["max_length"] = request.args[1]["max_gen_toks"] + 1
    assert texts == stock.generate_until(requests, disable_tqdm=True)
    assert any(texts)


def test_a_row_ends_at_its_stop_text() -> None:
    tokenizer = llama3()
    ids = tokenizer("one two three\n\nfour")["input_ids"]
    criterion = AfterTexts(("\n\n", "five"), tokenizer, 2)
    before = len(tokenizer("one two three\n")["input_ids"])
    assert ids[:before] == tokenizer("one two three\n")["input_ids"]
    rows = torch.tensor([[7, 7, *ids[:before], ids[0]], [7, 7, *ids[: before + 1]]])
    assert criterion(rows, None).tolist() == [False, True]
    later = AfterTexts(("\n\n", "five"), tokenizer, rows.shape[1])
    assert later(rows, None).tolist() == [False, False], (
        "a stop text in the prompt does not stop generation"
    )


def test_a_tasks_settings_that_the_model_cannot_follow_are_named(
    tokenizers: dict[str, Any],
) -> None:
    tokenizer = tokenizers["gpt2"]
    model = small_model("gpt2", tokenizer, n_positions=128)
    ours = LaminiLM(model, tokenizer=tokenizer, prompt_format=text_format("alpaca"))
    with pytest.raises(LaminiError, match=r"tasks\.task: 128 new tokens leave no room"):
        ours.generate_until(_requests(["a"], until=[], max_gen_toks=128))
    with pytest.raises(LaminiError, match=r"tasks\.task: .*prompt format alone takes"):
        ours.generate_until(_requests(["a"], until=[], max_gen_toks=120))
    sampled = {"do_sample": True, "temperature": 1.0, "num_beams": 2, "max_gen_toks": 4}
    with pytest.raises(LaminiError, match=r"tasks\.task: it samples with 2 beams"):
        ours.generate_until(_requests(["a"], until=[], **sampled))
    ours.generate_until(_requests(["a " * 100, "b"], until=[], max_gen_toks=64))
    assert ours.encoder.truncated == 1


def test_text_tasks_draw_each_request_by_itself(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["gpt2"]
    model = small_model("gpt2", tokenizer, n_positions=128)
    settings = {"until": [], "do_sample": True, "temperature": 1.0, "max_gen_toks": 6}
    requests = _requests(["the sea", "the sea", "a"], **settings)
    texts = LaminiLM(model, tokenizer=tokenizer).generate_until(requests)
    assert texts[0] != texts[1], "a repeated request has its own sample"
    alone = LaminiLM(model, tokenizer=tokenizer, tokens_per_batch=1)
    assert alone.generate_until(requests) == texts
