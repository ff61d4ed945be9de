"""Exported students: llama.cpp and CTranslate2 compute what the checkpoint does, and the check sees
where they do not."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from evaluation_cases import MIRROR, ROOT, TASKS, gpt2_tokenizer, saved_model, small_model
from gguf import GGMLQuantizationType as Type
from tokenizer_kinds import KINDS
from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lamini.errors import LaminiError
from lamini.evaluation.evaluate import evaluate_model
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import Scorer
from lamini.exports.check import FileScorer, check_export, equal_tokens
from lamini.exports.ctranslate2_folder import export_ctranslate2
from lamini.exports.gguf_model import check_exportable, export_gguf, named_tensors, write_gguf
from lamini.exports.gguf_tokenizer import read_vocabulary
from lamini.exports.quantization import quantize, tensor_type
from lamini.exports.results import ExportCheck
from lamini.exports.runtimes import CTranslate2, LlamaCpp
from lamini.files import read_json
from lamini.settings.evaluation import Evaluation
from lamini.settings.params.evaluation import (
    CheckExport,
    EvaluateModel,
    ExportCtranslate2,
    ExportGguf,
)
from lamini.students.pretrained import gguf_model

INSTRUCTIONS = ROOT / "config/demo/user_oriented_instructions.jsonl"
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "cerebras-gpt": ("cerebras-gpt", {}),
    "smollm2": ("llama", {"tie_word_embeddings": True, "max_position_embeddings": 128}),
    "llama3": ("llama", {"rope_parameters": LLAMA3, "hidden_size": 64}),
    "qwen2": ("llama", {"model_type": "qwen2", "max_position_embeddings": 128}),
    "qwen3": ("llama", {"model_type": "qwen3", "head_dim": 16, "max_position_embeddings": 128}),
}
TEXTS = ("It's 12345 o'clock, été 海 🦙!", "a  b\n\n\n c\t1", "<|endoftext|> x", "")


def _greedy(model: Any, prompt: list[int], most: int) -> list[int]:
    new = model.generate(torch.tensor([prompt]), max_new_tokens=most, do_sample=False)
    return list(new[0, (0 if model.config.is_encoder_decoder else len(prompt)) :].tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_computes_what_the_checkpoint_does(family: str, tmp_path: Path) -> None:
    name, changes = FAMILIES[family]
    tokenizer = gpt2_tokenizer()
    # An embedding has more rows than tokens where a padding token was added.
    model = small_model(name, tokenizer, vocab_size=len(tokenizer) + 3, **changes)
    path = tmp_path / "m.gguf"
    write_gguf(model, tokenizer, path, "f16", "Small")
    prompt = tokenizer("The capital of France is")["input_ids"]
    continuation = tokenizer(" the city of Paris")["input_ids"]
    request = TokenRequest(np.array(prompt), np.array(continuation))
    with LlamaCpp(path, 64) as llama:
        assert llama.greedy(prompt, [], 16) == _greedy(model, prompt, 16)
        assert llama.greedy(prompt, continuation, 9) == _greedy(model, prompt + continuation, 9)
        ((likelihood, greedy),) = llama.score([request], lambda _: None)
        chosen = TokenRequest(request.context, np.array(_greedy(model, prompt, 3)))
        ((_, best),) = llama.score([chosen], lambda _: None)
    ((wanted, _),) = Scorer(model).score([request])
    assert likelihood == pytest.approx(wanted, abs=0.02)
    assert (greedy, best) == (False, True)
    assert (tmp_path / "m.gguf").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("family", ["gpt2", "smollm2", "llama3", "qwen2", "qwen3"])
def test_another_reader_finds_the_same_weights(family: str, tmp_path: Path) -> None:
    name, changes = FAMILIES[family]
    # transformers reads neither GPT-2's number of positions nor the size of Qwen3's heads.
    changes = changes | {"gpt2": {"n_positions": 1024}, "qwen3": {"head_dim": 128}}.get(family, {})
    model = small_model(name, gpt2_tokenizer(), **changes)
    write_gguf(model, gpt2_tokenizer(), tmp_path / "m.gguf", "f16", "Small")
    read, tokenizer = gguf_model(tmp_path / "m.gguf")
    if not family.startswith("qwen"):  # of these, transformers splits words by Qwen's rule
        text = "It's 12 o'clock"
        assert tokenizer(text)["input_ids"] == gpt2_tokenizer()(text)["input_ids"]
    found = dict(read.named_parameters())
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(found[key], parameter, atol=2**-24, rtol=2**-10)


PRE = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    ),
    "qwen2": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                Regex(
                    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
                    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
                ),
                "isolated",
            ),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    ),
}


def _tokenizer(kind: str, tmp_path: Path) -> Any:
    if kind not in PRE:
        return KINDS["llama3"](tmp_path)
    backend = gpt2_tokenizer().backend_tokenizer
    rules = json.loads(backend.to_str())
    own = type(backend).from_str(json.dumps(rules))
    own.pre_tokenizer = PRE[kind]
    return PreTrainedTokenizerFast(tokenizer_object=own, eos_token="<|endoftext|>")


@pytest.mark.parametrize("kind", [*PRE, "llama-bpe"])
def test_llama_cpp_splits_texts_as_the_tokenizer_does(kind: str, tmp_path: Path) -> None:
    tokenizer = _tokenizer(kind, tmp_path)
    template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    tokenizer.chat_template = template
    model = small_model("llama", tokenizer)
    write_gguf(model, tokenizer, tmp_path / "m.gguf", "q8_0", "Small")
    assert read_vocabulary(tokenizer, len(tokenizer)).pre == kind
    with LlamaCpp(tmp_path / "m.gguf", 64) as llama:
        for text in (*TEXTS, *INSTRUCTIONS.read_text().splitlines()[:8]):
            for special in (True, False):
                wanted = tokenizer(text, add_special_tokens=special)["input_ids"]
                assert llama.tokens(text, special) == wanted, text
        reply = llama._ask("/apply-template", messages=[{"role": "user", "content": "Hi"}])
    assert reply["prompt"] == "<user>Hi"


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        ("t5", "only byte-level BPE tokenizers can be exported to GGUF, not Unigram"),
        ("llama2", "not BPE with byte fallback"),
        ("bert", "not WordPiece"),
    ],
)
def test_other_tokenizers_are_refused(kind: str, lacks: str, tmp_path: Path) -> None:
    with pytest.raises(LaminiError, match=lacks):
        read_vocabulary(KINDS[kind](tmp_path / "t"), 1000)


def test_an_unknown_rule_for_words_is_refused() -> None:
    tokenizer = gpt2_tokenizer()
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    own = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")
    with pytest.raises(LaminiError, match="name for its pre-tokenizer is not known"):
        read_vocabulary(own, 60_000)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpt-neo", {}, "llama.cpp does not know GPT-Neo"),
        ("gpt2", {"activation_function": "relu"}, "a gpt2 with activation_function relu"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx True"),
        ("llama", {"hidden_act": "gelu"}, "a llama with hidden_act gelu"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
            "linear",
        ),
        ("llama", {"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window True"),
        ("llama", {"model_type": "olmo"}, "models of type olmo can't be exported to GGUF files"),
    ],
)
def test_models_that_llama_cpp_computes_otherwise_are_refused(
    name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LaminiError, match=message):
        check_exportable(small_model(name, gpt2_tokenizer(), **changes).config)


# --- Quantisation


def test_quantised_blocks_are_those_of_package_gguf() -> None:
    values = np.random.default_rng(0).standard_normal((16, 512), dtype=np.float32)
    for kind in (Type.Q8_0, Type.Q5_0, Type.Q5_1):
        np.testing.assert_array_equal(quantize(values, kind), gguf.quantize(values, kind))
    steps = {Type.Q4_K: 15, Type.Q5_K: 31, Type.Q6_K: 63}  # of the range of a block's values
    for kind, count in steps.items():
        read = gguf.dequantize(quantize(values, kind), kind)
        spread = np.ptp(values.reshape(-1, 16), axis=1).max()
        assert 0 < np.abs(read - values).max() < 1.5 * spread / count
    np.testing.assert_array_equal(quantize(values, Type.F32), values)


def test_tensors_have_the_types_that_llama_cpp_chooses() -> None:
    def kind(name: str, shape: tuple[int, ...] = (512, 512), tied: bool = True) -> Type:
        return tensor_type(name, shape, "q4_k_m", layers=30, tied=tied)

    # 30 layers: the first 3, from 26 on, and 5, 8, 11 ... 23 between them.
    more = [n for n in range(30) if kind(f"blk.{n}.ffn_down.weight") == Type.Q6_K]
    assert more == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    assert [n for n in range(30) if kind(f"blk.{n}.attn_v.weight") == Type.Q6_K] == more
    assert kind("blk.3.ffn_down.weight") == kind("blk.0.attn_q.weight") == Type.Q4_K
    assert kind("blk.3.attn_qkv.weight") == Type.Q5_K
    assert kind("token_embd.weight") == kind("output.weight", tied=False) == Type.Q6_K
    assert kind("token_embd.weight", tied=False) == Type.Q4_K
    assert kind("blk.0.attn_norm.weight", (512,)) == kind("position_embd.weight") == Type.F32
    # Rows that are no multiple of 256, and rows that are no multiple of 32.
    assert kind("blk.3.attn_q.weight", (9, 96)) == Type.Q5_0
    assert kind("blk.3.attn_qkv.weight", (9, 96)) == Type.Q5_1
    assert kind("blk.0.ffn_down.weight", (9, 96)) == Type.Q8_0
    assert kind("blk.0.ffn_down.weight", (9, 30)) == Type.F16
    assert tensor_type("output.weight", (9, 64), "q8_0", layers=3, tied=False) == Type.Q8_0
    assert tensor_type("output.weight", (9, 64), "f16", layers=3, tied=False) == Type.F16


@pytest.mark.parametrize("kind", ["q8_0", "q4_k_m"])
def test_a_quantised_file_holds_the_weights_in_its_types(kind: Any, tmp_path: Path) -> None:
    model = small_model("gpt2", gpt2_tokenizer(), n_embd=256)
    write_gguf(model, gpt2_tokenizer(), tmp_path / "m.gguf", kind, "Small")
    wanted = dict(named_tensors(model))
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    assert reader.fields["general.name"].contents() == "Small"
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert found.keys() == wanted.keys()
    worst = {Type.F32: 0, Type.Q8_0: 0.01, Type.Q6_K: 0.05, Type.Q5_K: 0.1, Type.Q4_K: 0.2}
    for name, tensor in found.items():
        values = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(wanted[name].shape)
        error = np.abs(values - wanted[name]).max() / np.abs(wanted[name]).max()
        assert error <= worst[tensor.tensor_type], name
    assert len({tensor.tensor_type for tensor in found.values()}) == {"q8_0": 2, "q4_k_m": 4}[kind]


# --- CTranslate2


def _folder(evaluated: Any, kind: Any, folder: Path) -> Path:
    settings = ExportCtranslate2(model=evaluated, type=kind, version=1)
    export_ctranslate2(manifest=folder / "manifest.json", settings=settings)
    return folder


@pytest.mark.parametrize("name", ["t5", "t5-v1.1"])
def test_ctranslate2_computes_what_the_checkpoint_does(name: str, tmp_path: Path) -> None:
    tokenizer = KINDS["t5"](tmp_path / "t5")
    model = small_model(name, tokenizer)
    evaluated = saved_model(tmp_path / "final", model, tokenizer)
    folder = _folder(evaluated, "float32", tmp_path / "m.float32.ctranslate2")
    prompt = tokenizer("Name a sea.")["input_ids"]
    wanted = _greedy(model, prompt, 12)[1:]
    requests = [
        TokenRequest(np.array(prompt), np.array(tokenizer(text)["input_ids"][: -drop or None]))
        for text, drop in (("the sea", 0), ("the sea", 1), ("no", 1))
    ]
    requests.append(TokenRequest(np.array(prompt), np.array(wanted[:4])))
    with CTranslate2(folder) as program:
        assert program.greedy(prompt, [], 12)[: len(wanted)] == wanted
        assert program.greedy(prompt, wanted[:3], 4) == wanted[3:7]
        scores = list(program.score(requests, lambda _: None))
    for (likelihood, greedy), (one, best) in zip(
        scores, Scorer(model).score(requests), strict=True
    ):
        assert (likelihood, greedy) == (pytest.approx(one, abs=1e-3), best)
    assert scores[-1][1]
    listed = read_json(folder / "manifest.json")["files"]
    assert {*listed} == {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert "tokenizer.json" in listed


# --- The check


def test_equal_tokens_are_counted_after_the_checkpoints_tokens(tmp_path: Path) -> None:
    tokenizer = gpt2_tokenizer()
    model = small_model("gpt2", tokenizer)
    write_gguf(model, tokenizer, tmp_path / "m.gguf", "f16", "Small")
    prompt = tokenizer("The capital of France is")["input_ids"]
    given = torch.randint(0, 50_000, (12,), generator=torch.Generator().manual_seed(1)).tolist()
    own = _greedy(model, prompt + given, 8)
    reference = [*given[:5], *own, *given[5:], *_greedy(model, prompt, 3)]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + reference])).logits[0]
    chosen = logits.argmax(dim=-1)[len(prompt) - 1 : -1].tolist()
    wanted = sum(a == b for a, b in zip(chosen, reference, strict=True))
    with LlamaCpp(tmp_path / "m.gguf", 128) as llama:
        assert equal_tokens(llama, prompt, reference, [tokenizer.eos_token_id]) == wanted
        alike = _greedy(model, prompt, 10)
        assert equal_tokens(llama, prompt, alike, [tokenizer.eos_token_id]) == 10
        # The program ends where the checkpoint goes on, and the other way round.
        end = alike[0]
        assert equal_tokens(llama, prompt, [end], [tokenizer.eos_token_id, end]) == 0
        assert (
            equal_tokens(llama, prompt, [tokenizer.eos_token_id], [tokenizer.eos_token_id, end])
            == 1
        )


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_request_that_fills_all_positions_loses_its_first_token(
    name: str, tmp_path: Path
) -> None:
    tokenizer = gpt2_tokenizer()
    changes = {} if name == "gpt2" else {"max_position_embeddings": 128}
    model = small_model(name, tokenizer, **changes)
    write_gguf(model, tokenizer, tmp_path / "m.gguf", "f16", "Small")
    tokens = torch.randint(0, 50_000, (129,), generator=torch.Generator().manual_seed(2)).numpy()
    requests = [TokenRequest(tokens[: n - 2], tokens[n - 2 : n]) for n in (129, 128, 40)]
    shorter = [TokenRequest(tokens[1:127], tokens[127:129]), *requests[1:]]
    scorer = FileScorer(lambda room: LlamaCpp(tmp_path / "m.gguf", room), 128)
    found = scorer.score(requests, lambda _: None)
    wanted = Scorer(model).score(shorter)
    assert [likelihood for likelihood, _ in found] == pytest.approx(
        [w for w, _ in wanted], abs=0.05
    )
    assert scorer.shortened == 1


@pytest.fixture(params=["gpt2", "t5"])
def student(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A student in its folder, with its score on RTE."""
    monkeypatch.chdir(tmp_path)
    causal = request.param == "gpt2"
    tokenizer: Any = gpt2_tokenizer() if causal else KINDS["t5"](tmp_path / "made")
    model = small_model(request.param, tokenizer, **({"n_positions": 256} if causal else {}))
    evaluated = saved_model(
        tmp_path / "final", model, tokenizer, prompt_format="alpaca" if causal else None
    )
    evaluation = Evaluation(protocol="paper", mirror=MIRROR, limit=12)
    settings = EvaluateModel(
        model=evaluated, tasks={"rte": TASKS["rte"]}, evaluation=evaluation, files=None
    )
    evaluate_model(evals=["results/evals/small/rte.json"], settings=settings)
    return settings


def _check(settings: EvaluateModel, kind: Any, exported: Path) -> ExportCheck:
    check_export(
        exported=exported,
        instructions=INSTRUCTIONS,
        score="results/evals/small/rte.json",
        check="check.json",
        settings=CheckExport(**dict(settings), type=kind, max_new_tokens=6, version=1),
    )
    return ExportCheck.read("check.json")


def test_an_exported_file_is_compared_with_its_checkpoint(student: EvaluateModel) -> None:
    causal = student.model.architecture == "decoder-only"
    if causal:
        path = Path("exports/small.f16.gguf")
        settings = ExportGguf(model=student.model, name="Small", type="f16", version=1)
        export_gguf(gguf_file=path, settings=settings)
        found = _check(student, "f16", path)
    else:
        folder = _folder(student.model, "float32", Path("exports/small.float32.ctranslate2"))
        path = folder / "manifest.json"
        found = _check(student, "float32", path)
    rows = len(INSTRUCTIONS.read_text().splitlines())
    assert found.instructions == rows
    assert (found.equal_tokens, found.equal_answers) == (found.tokens, rows)
    assert found.equal_prompts == (rows if causal else None)
    assert (found.score, found.equal_examples) == (found.checkpoint_score, found.examples)
    assert found.examples == 12
    assert found.program.startswith(
        "llama.cpp (xllamacpp" if causal else "CTranslate2 (ctranslate2"
    )
    assert found.bytes > 10_000


def test_the_check_sees_other_weights_and_other_requests(student: EvaluateModel) -> None:
    if student.model.architecture != "decoder-only":
        pytest.skip("the same for both programs")
    other = small_model("gpt2", gpt2_tokenizer(), n_positions=256)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    write_gguf(other, gpt2_tokenizer(), Path("other.gguf"), "f16", "Other")
    found = _check(student, "f16", Path("other.gguf"))
    assert found.token_share < 0.9
    assert found.equal_answers < found.instructions
    assert found.change == found.score - found.checkpoint_score
    changed = student.model_copy(
        update={"evaluation": student.evaluation.model_copy(update={"limit": 11})}
    )
    with pytest.raises(LaminiError, match="is of other requests"):
        _check(changed, "f16", Path("other.gguf"))
    Path("other.gguf").write_bytes(b"GGUF" + bytes(99))
    with pytest.raises(LaminiError, match=r"other\.gguf: llama\.cpp can't load this file"):
        _check(student, "f16", Path("other.gguf"))
