"""A model per stage: requests, params, prices, plan and card follow it."""

import re
from pathlib import Path

import pytest
from dataset_cases import dataset_manifest
from writing_endpoint import WritingEndpoint

from lamini.catalogue import Catalogue
from lamini.command import read_config
from lamini.dataset.card import made_text
from lamini.errors import SettingsError
from lamini.files import read_json, read_jsonl, write_jsonl
from lamini.generation.pairs import generate_pairs
from lamini.generation.requests import InstructionPrompt
from lamini.generation.shard import Shard, ShardSettings
from lamini.plan.__main__ import main
from lamini.settings.params.generation import GeneratePairs
from lamini.settings.teacher import Price, Teacher
from lamini.status.requests import spending_by_rule
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.money import ledger_spending
from lamini.teacher.request import chat_request
from lamini.workflow import Workflow

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "config/overlays/gpt-3.5-turbo.yaml"
STAGES = "instructions: {model: writer}, responses: {model: answerer}"
PRICES = "prices: {writer: {prompt: 2, completion: 8}, answerer: {prompt: 1, completion: 4}}"
TWO = f"teacher={{{STAGES}}}"
PRICED = f"teacher={{{STAGES}, {PRICES}}}"
JUDGED = "human_evaluation={studies: {models: {judge: {}}}}"
JUDGE = f"teacher={{model: judge, budget_dollars: 9, {STAGES}, {PRICES}}}"


pytestmark = pytest.mark.usefixtures("empty_project")


def flow(*assignments: str) -> Workflow:
    return Workflow(read_config([PAPER], assignments))


def pair_request(settings: Workflow) -> str:
    params = settings.pair_params("alpaca")
    messages = [
        {"role": "system", "content": params.responses.system_message},
        {"role": "user", "content": "Name three rivers."},
    ]
    return chat_request(params.model, messages, params.responses.sampling).key


def instruction_request(settings: Workflow) -> str:
    params = settings.instruction_params("generated_p3", "0000")
    shard = Shard(ShardSettings.from_params(params, "0000"), None)  # type: ignore[arg-type]
    return shard.request(InstructionPrompt("Generate 10.", (), (), None, (), 7)).key


def test_the_papers_requests_have_their_keys():
    """Keys of the commit before models of stages; ledgers of that time are found by them."""
    for settings in (flow(), flow("teacher={responses: {model: gpt-3.5-turbo}}")):
        assert pair_request(settings) == "14649512f0107ef46cc0b493308ec2aa"
        assert instruction_request(settings) == "7e0c6affab3c6d84616a2935fb573446"
    assert pair_request(flow(TWO)) != pair_request(flow())


def test_params_change_with_the_model_of_their_own_stage_only():
    def both(*assignments: str) -> tuple[dict, dict]:
        made = flow(*assignments)
        written = made.instruction_params("generated_p3", "0000").as_params()
        return written, made.pair_params("generated_p3").as_params()

    paper = both()
    endpoint = "endpoints: [{base_url: 'http://gpu:8000/v1'}]"
    other = both(f"teacher={{responses: {{model: other, {endpoint}}}}}")
    assert other[0] == paper[0]
    assert other[1] == paper[1] | {"model": "other"}
    other = both(f"teacher={{instructions: {{model: other, {endpoint}}}}}")
    assert other == (paper[0] | {"model": "other"}, paper[1])


def test_a_source_of_its_own_may_have_its_own_model():
    own = "sources={generated_p3: {generation: {requests: {%s}}}}"
    asked = "teacher={instructions: {model: writer}}"
    for model, expected in (("model: special", "special"), ("version: 1", "writer")):
        made = flow(asked, own % model)
        assert made.instruction_params("generated_p3", "0000").model == expected
        assert made.teacher_of("instructions", "generated_p3").model == expected
        assert made.teacher_of("instructions", "generated_flan").model == "writer"
        assert made.teacher_of("pairs", "generated_p3").model == "gpt-3.5-turbo"


def test_a_budget_needs_no_price_of_a_model_that_is_not_asked():
    assert flow(JUDGE).teacher_of("pairs", "alpaca").model == "answerer"


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ([f"teacher={{budget_dollars: 9, {STAGES}}}"], "budget_dollars needs `prices.writer`"),
        ([JUDGE, JUDGED], "budget_dollars needs `prices.judge`"),
        (
            ["teacher={budget_dollars: 9}",
             "sources={generated_p3: {generation: {requests: {model: special}}}}"],
            "budget_dollars needs `prices.special`",
        ),
        (
            ["teacher={backend: local, server: {model_path: a}, responses: {model: other}}"],
            "responses: `model` and `endpoints` of a stage need backend `external` or `batch`",
        ),
        (
            ["teacher={backend: batch, responses: {endpoints: [{}, {}]}}"],
            "backend `batch` needs a single endpoint",
        ),
    ],
)  # fmt: skip
def test_what_a_stage_cannot_have_is_refused_before_a_job(assignments, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        flow(*assignments)


def test_the_plan_has_the_requests_and_the_price_of_each_model(capsys):
    assert main(["--configfile", str(PAPER), "--config", PRICED]) == 0
    text = re.sub(" +", " ", capsys.readouterr().out)
    assert "Teacher writer (instructions), answerer (pairs); prompts and answers" in text
    totals = [line.split() for line in text.splitlines() if line.startswith("total ")][:3]
    assert [row[:3] for row in totals] == [
        ["total", "writer", "86,500"],
        ["total", "answerer", "2,580,000"],
        ["total", "2,666,500", "227.49M"],
    ]
    writer, answerer, both = (float(row[-2].strip("$").replace(",", "")) for row in totals)
    assert writer + answerer == pytest.approx(both, abs=0.02)
    assert answerer > 4 * 84e6 / 1e6  # 84 million tokens of responses
    assert "Teacher: writer at api.openai.com: not asked" in text
    assert "Teacher: answerer at api.openai.com: not asked" in text
    assert main(["--configfile", str(PAPER), "--config", TWO]) == 0
    text = capsys.readouterr().out
    assert "no price of writer: dollars" in text and "no price of answerer: dollars" in text


def test_ledgers_are_priced_by_the_model_that_answered_or_was_asked():
    prices = {"a": Price(prompt=1, completion=1), "b": Price(prompt=10, completion=10)}
    ledger = Ledger(Path("x.ledger.jsonl"))
    for number, names in enumerate(
        [{"model": "a-0613"}, {"model": "B/renamed", "asked": "b"}, {"model": "unknown"}]
    ):
        row = {"key": f"{number:032x}", "prompt_tokens": 10**6, "completion_tokens": 0, **names}
        ledger.append([row_line(row)])
    ledger.close()
    assert ledger_spending(Path("x.ledger.jsonl"), prices, None).dollars == 11
    teacher = Teacher.model_validate(
        {
            "model": "none",
            "instructions": {"model": "b"},
            "responses": {"system_message": "", "model": "a"},
            "prices": {name: price.as_params() for name, price in prices.items()},
        }
    )
    for folder in ("instructions", "pairs"):
        ledger = Ledger(Path(f"results/{folder}/s/0000.ledger.jsonl"))
        row = {"model": "unknown", "prompt_tokens": 10**6, "completion_tokens": 0}
        ledger.append([row_line({"key": f"{0:032x}", **row})])
        ledger.close()
    paid = {rule: each.dollars for rule, each in spending_by_rule(Path("results"), teacher).items()}
    assert paid == {"generate_instructions": 10, "generate_pairs": 1}


def test_a_job_asks_the_model_of_its_stage(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    write_jsonl("q.jsonl", [{"id": "1", "instruction": "Name.", "instruction_source": "s"}])
    with WritingEndpoint(write=lambda body: ("Ann.", "stop")) as endpoint:
        settings = endpoint.settings(
            instructions={"model": "answerer"},
            responses={"system_message": "", "model": "answerer"},
            budget_dollars=1.0,
            prices={"answerer": {"prompt": 1, "completion": 1}},
        )
        generate_pairs(
            queries=Path("q.jsonl"),
            pairs=Path("results/pairs/s/0000.jsonl"),
            report=Path("results/pairs/s/0000.report.json"),
            shard="0000",
            settings=GeneratePairs(
                source="s",
                model="answerer",
                responses=settings.responses.without_model(),
                seed_requests=False,
                seed=1,
            ),
            teacher=Teacher.model_validate(settings.of_stage("pairs").as_params()),
        )
        assert [body["model"] for body in endpoint.requests] == ["answerer"]
    assert read_json(Path("results/pairs/s/0000.report.json"))["asked_model"] == "answerer"
    (row,) = read_jsonl(Path("results/pairs/s/0000.ledger.jsonl"))
    assert (row["model"], row["asked"]) == ("the-model", "answerer")


def test_the_card_names_sources_with_several_answers():
    made = flow("sources={alpaca: {answers_per_query: 4, best_answer: {by: judge}}}")
    settings = made.mixture_params("d_all").as_params()
    assert [*settings["several"]] == ["alpaca"]
    del settings["files"], settings["licenses"]
    text = made_text(dataset_manifest({"alpaca": {"models": {"m": 5}}}, settings=settings))
    assert (
        "The best of several responses was kept: alpaca (of 4, by the same model as judge)." in text
    )
    assert "several" not in flow().mixture_params("d_all").as_params()


def test_report_and_card_name_both_models():
    assert Catalogue(flow()).report_params().teacher == "gpt-3.5-turbo"
    assert "writers" not in flow().mixture_params("d_all").as_params()
    made = flow(TWO)
    named = "writer (instructions) and answerer (responses)"
    assert Catalogue(made).report_params().teacher == named
    settings = made.mixture_params("d_all").as_params()
    del settings["files"], settings["licenses"]  # not in the manifest
    text = made_text(dataset_manifest({"alpaca": {"models": {"answerer": 5}}}, settings=settings))
    assert "new instructions written by writer," in text
    assert "responses by answerer (5 responses)" in text
