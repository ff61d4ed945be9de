"""LoRA: peft's losses and gradients, frozen weights, exports, resumed runs, and refusals."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from pydantic import ValidationError
from training_bench import Bench
from training_cases import (
    CPU,
    architecture,
    recipe,
    tiny_cache,
    tiny_job,
    tiny_model,
    tiny_trainer,
)

from lamini.errors import LaminiError
from lamini.evaluation.models import load_evaluated_model
from lamini.files import read_json
from lamini.forward.own import log_likelihoods, own_logits
from lamini.settings.params.evaluation import EvaluatedModel
from lamini.students.numerics import Precision
from lamini.students.token_cache import TokenCache
from lamini.training import computation
from lamini.training.adapter import (
    adapted_modules,
    adapter_size,
    add_adapter,
    lower_frozen_precision,
    perturbed,
    train_adapter_only,
)
from lamini.training.loop import Trainer
from lamini.training.telemetry import MatmulWork

LORA: dict[str, Any] = {"rank": 3, "alpha": 5}
NAMES = ("gpt2", "llama", "t5-v1.1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"), shared=11)


def _fill(model: torch.nn.Module) -> None:
    """Give A and B the same values in each model."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def _adapted(name: str, **lora: Any) -> Any:
    model = tiny_model(name)
    train_adapter_only(tiny_job(model, lora=LORA | lora), model, "fp32")
    return model


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_are_those_of_plain_peft(
    name: str, cache: TokenCache, tmp_path: Path
) -> None:
    trainer = tiny_trainer(tiny_model(name), cache, tmp_path, lora=LORA)
    assert trainer.choice.way == ("packed" if name == "t5-v1.1" else "shared_prefix")
    _fill(trainer._model)
    pairs, weights = np.arange(12), np.linspace(0.5, 1.5, 12)
    sums = trainer._computation.sums(trainer._computation.prepare(pairs, weights), 1.0)

    config = LoraConfig(
        r=3, lora_alpha=5, target_modules="all-linear", fan_in_fan_out=name == "gpt2"
    )
    plain = get_peft_model(tiny_model(name), config)
    _fill(plain)
    loss = torch.zeros(())
    for pair, weight in zip(pairs, weights, strict=True):
        logits = own_logits(plain.get_base_model(), cache.prompt(pair), cache.response(pair))
        response = torch.as_tensor(cache.response(pair))
        loss -= weight * log_likelihoods(logits, response).sum()
    loss.backward()
    assert sums.loss == pytest.approx(loss.item(), rel=1e-6)
    expected = {n: p.grad for n, p in plain.named_parameters() if p.requires_grad}
    assert len(expected) == len(trainer._parameters) > 8
    for short, parameter in trainer._parameters.items():
        gradient = expected[f"base_model.model.{short}"]
        assert gradient.abs().max() > 0
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)


def test_only_the_adapter_is_trained_and_it_starts_as_the_model(
    cache: TokenCache, tmp_path: Path
) -> None:
    before = tiny_model("gpt2").state_dict()
    trainer = tiny_trainer(tiny_model("gpt2"), cache, tmp_path, lora=LORA)
    whole = tiny_trainer(tiny_model("gpt2"), cache, tmp_path / "whole")
    assert trainer.held_out_loss() == whole.held_out_loss()
    rows = trainer.run()
    assert rows[-1].held_out_loss < rows[0].held_out_loss
    after = trainer._model.state_dict()
    for name, weight in before.items():
        place, _, last = name.rpartition(".")
        found = after[name] if name in after else after[f"{place}.base_layer.{last}"]
        assert torch.equal(found, weight), name
    assert all(name.split(".")[-3].startswith("lora_") for name in trainer._parameters)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["q_proj"]])
def test_a_frozen_first_layer_is_no_cache_that_stops_the_gradient(
    targets: list[str], cache: TokenCache, tmp_path: Path
) -> None:
    lora = LORA | {"target_modules": targets}
    trainer = tiny_trainer(tiny_model("llama"), cache, tmp_path, lora=lora)
    assert trainer.choice.way == "shared_prefix"
    assert trainer.step(0).loss > 0
    assert not trainer._model.get_input_embeddings().weight.requires_grad


def test_a_proof_sees_the_adapter(cache: TokenCache) -> None:
    model = _adapted("llama")
    start = copy.deepcopy(model.state_dict())

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return own_logits(model, cache.prompt(3), cache.response(3))

    plain = logits()
    with perturbed(model):
        apart = float((logits() - plain).abs().max())
        for module in adapted_modules(model).values():
            update = module.get_delta_weight("default").std() / module.weight.std()
            assert update.item() == pytest.approx(0.1, rel=1e-3)
    assert apart > 0.05
    assert all(torch.equal(start[key], value) for key, value in model.state_dict().items())


def test_a_way_that_forgets_the_adapter_is_refused(
    cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = computation.token_losses

    def forgetful(model: Any, batch: Any, way: str, *likelihoods: Any) -> torch.Tensor:
        for module in adapted_modules(model).values():
            module.enable_adapters(way != "shared_prefix")
        return compute(model, batch, way, *likelihoods)

    monkeypatch.setattr(computation, "token_losses", forgetful)
    trainer = tiny_trainer(tiny_model("gpt2"), cache, tmp_path, lora=LORA)
    assert trainer.choice.way == "rows"


def test_ranks_draw_the_same_matrices() -> None:
    torch.manual_seed(1)
    one = _adapted("gpt2")
    torch.manual_seed(2)
    other = _adapted("gpt2")
    for parameter, same in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(parameter, same)


@pytest.mark.parametrize(
    ("name", "precision", "exact"), [("gpt2", "bf16", ""), ("t5-v1.1", "fp16", "wo")]
)
def test_frozen_matrices_in_16_bits_change_no_result(
    name: str, precision: Precision, exact: str, cache: TokenCache, tmp_path: Path
) -> None:
    found = []
    for is_short in (False, True):
        model = _adapted(name)
        if is_short:
            lower_frozen_precision(model, precision)
        dtypes = {
            n: p.dtype for n, p in model.named_parameters() if n.endswith("base_layer.weight")
        }
        kept = {n for n, dtype in dtypes.items() if dtype == torch.float32}
        assert kept == {n for n in dtypes if not is_short or f".{exact}." in n}
        # Without `lora`, this trainer takes the model as it is.
        trainer = tiny_trainer(model, cache, tmp_path / str(is_short), precision=precision)
        _fill(model)
        prepared = trainer._computation.prepare(np.arange(8), np.ones(8))
        sums = trainer._computation.sums(prepared, 1.0)
        found.append((sums.loss, [p.grad for p in trainer._parameters.values()]))
    (loss, gradients), (short_loss, short_gradients) = found
    assert loss == short_loss
    assert len(gradients) > 8
    for gradient, short in zip(gradients, short_gradients, strict=True):
        assert gradient.dtype == torch.float32
        assert torch.equal(gradient, short)


def test_a_killed_run_ends_with_the_adapter_of_an_uninterrupted_one(
    cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(folder: str) -> Trainer:
        model = tiny_model("gpt2", dropout=True)
        lora = LORA | {"dropout": 0.2}
        return tiny_trainer(model, cache, tmp_path / folder, lora=lora, keep="best")

    whole = make("whole")
    rows = whole.run()
    killed = make("killed")
    step = killed.step
    monkeypatch.setattr(
        killed, "step", lambda number: step(number) if number < 4 else pytest.fail("killed")
    )
    with pytest.raises(pytest.fail.Exception):
        killed.run()
    resumed = make("killed")
    assert resumed.run() == rows
    for name, weight in whole._parameters.items():
        assert torch.equal(weight, resumed._parameters[name])


# --- Whole runs from settings to `final/`, and back.


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), ("gpt2",), longest=80)


def _loaded(name: str, final: Path, precision: Precision = "fp32") -> Any:
    evaluated = EvaluatedModel(
        model="small",
        architecture=architecture(name),
        prompt_format=None,
        path=str(final),
        revision=None,
    )
    return load_evaluated_model(evaluated, precision, CPU)


@pytest.mark.slow
def test_the_merged_export_is_the_base_with_the_adapter(bench: Bench, tmp_path: Path) -> None:
    name, forms = "gpt2", {}
    for form in ("merged", "adapter"):
        lora = LORA | {"export": form}
        bench.run_here(name, tmp_path / form, lora=lora, epochs=1, held_out_pairs=4)
        forms[form] = tmp_path / form / "final"
    merged, adapter = forms["merged"], forms["adapter"]
    assert (merged / "metrics.jsonl").read_bytes() == (adapter / "metrics.jsonl").read_bytes()
    assert not list(adapter.glob("model*.safetensors"))
    facts = read_json(adapter / "manifest.json")["adapter"]
    assert facts == read_json(merged / "manifest.json")["adapter"]
    count = f"a LoRA adapter of {facts['parameters_trained']:,} parameters"
    for folder in forms.values():
        card = (folder / "README.md").read_text()
        assert count in card
        assert "| lora | rank 3, alpha 5.0, dropout 0.0, target_modules auto, export" in card
    assert "library_name: peft" in (adapter / "README.md").read_text()
    assert "library_name: transformers" in (merged / "README.md").read_text()

    cache = TokenCache(bench.folder / "tokenized" / name)
    prompt, response = cache.prompt(0), cache.response(0)
    for precision in ("fp32", "bf16"):
        (one, tokens), (other, same) = (_loaded(name, f, precision) for f in forms.values())
        assert len(tokens) == len(same)
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
        with torch.no_grad():
            assert torch.equal(*(own_logits(m, prompt, response) for m in (one, other)))
        assert other.generation_config.to_diff_dict() == one.generation_config.to_diff_dict()
    # The adapter itself, unmerged: the same up to rounding, and not the base model.
    base = _loaded(name, bench.folder / "models" / name)[0]
    with torch.no_grad():
        start = own_logits(base, prompt, response)
    exact, _ = _loaded(name, merged)
    changed = {
        key
        for key, value in base.state_dict().items()
        if not torch.equal(exact.state_dict()[key][: len(value)], value)
    }
    modules = {key.rsplit(".", 2)[1] for key in changed}
    assert modules == set(facts["modules"])
    assert all(key.endswith("weight") for key in changed)
    plain = _unmerged(base, adapter, len(tokens))
    with torch.no_grad():
        logits = own_logits(plain, prompt, response)
        rounded = own_logits(exact, prompt, response)
    torch.testing.assert_close(logits, rounded, rtol=1e-4, atol=1e-4)
    assert (logits[:, : start.shape[1]] - start).abs().max() > 0.01


def _unmerged(base: Any, folder: Path, vocabulary: int) -> Any:
    """The model as the card says to load it."""
    from peft import PeftModel

    if vocabulary > base.get_input_embeddings().num_embeddings:
        base.resize_token_embeddings(vocabulary)
    return PeftModel.from_pretrained(base, folder).get_base_model()


# --- Counts, settings and refusals.


@pytest.mark.parametrize("name", NAMES)
def test_counts_of_weights_and_operations(name: str) -> None:
    model, frozen = _adapted(name), tiny_model(name)
    size = adapter_size(model)
    assert size is not None
    assert size.parameters_frozen == sum(p.numel() for p in frozen.parameters())
    linear = [m.get_base_layer().weight.shape for m in adapted_modules(model).values()]
    assert size.parameters_trained == sum(3 * (rows + columns) for rows, columns in linear)
    assert adapter_size(frozen) is None
    kind = architecture(name)
    trained = MatmulWork(frozen, kind).flops(10, 20)
    adapter = MatmulWork(model, kind).flops(10, 20)
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    base = MatmulWork(frozen, kind).flops(10, 20)
    assert base == pytest.approx(trained * 4 / 6)
    tokens = [20, 10] if kind == "encoder-decoder" else [30]
    assert base + 6 * min(tokens) * size.parameters_trained <= adapter
    assert adapter <= base + 6 * max(tokens) * size.parameters_trained


@pytest.mark.parametrize(
    ("name", "targets", "message"),
    [
        ("gpt2", ["q_proj"], "no adapter for ['q_proj']"),
        ("gpt2", ["q_proj"], "linear modules of this model: c_attn, c_fc, c_proj, lm_head"),
        ("gpt2", ["c_attn", "lm_head"], "lm_head shares its weights with the embeddings"),
        ("gpt2", ["wte"], "transformer.wte is no linear module"),
    ],
)
def test_modules_that_can_have_no_adapter_are_named(
    name: str, targets: list[str], message: str
) -> None:
    model = tiny_model(name)
    job = tiny_job(model, lora=LORA | {"target_modules": targets})
    with pytest.raises(LaminiError, match=re.escape(message)):
        add_adapter(job, model)


@pytest.mark.parametrize(
    "lora", [{"rank": 0}, {"target_modules": []}, {"export": "both"}, {"dropout": 1}]
)
def test_wrong_settings_are_refused(lora: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(lora))):
        recipe(lora=lora)


def test_without_an_adapter_params_and_model_are_as_before() -> None:
    assert "lora" not in recipe().result_params()
    assert recipe(lora=LORA).result_params()["lora"] == {
        "rank": 3,
        "alpha": 5.0,
        "dropout": 0.0,
        "target_modules": "auto",
        "export": "merged",
    }
    model = tiny_model("gpt2")
    train_adapter_only(tiny_job(model), model, "bf16")
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert not adapted_modules(model)
