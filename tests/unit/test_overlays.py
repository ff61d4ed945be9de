"""All overlays in config/overlays: planned jobs and costs."""

import re
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint
from snakemake.utils import update_config

from lamini.catalogue import Catalogue
from lamini.catalogue.paper import PUBLISHED_MODELS
from lamini.command import read_config, read_yaml
from lamini.errors import SettingsError
from lamini.plan.__main__ import main
from lamini.tables.model_tables import collection_table
from lamini.workflow import Workflow

ROOT = Path(__file__).parents[2]
OVERLAYS = {path.stem: path for path in sorted((ROOT / "config/overlays").glob("*.yaml"))}


pytestmark = pytest.mark.usefixtures("empty_project")


def flow(*overlays: str, config: tuple[str, ...] = ()) -> Workflow:
    return Workflow(read_config([OVERLAYS[name] for name in overlays], config))


def plan(capsys, name: str, *config: str) -> str:
    arguments = ["--configfile", str(OVERLAYS[name]), *(["--config", *config] if config else [])]
    assert main(arguments) == 0
    return capsys.readouterr().out


TRAINED = "total 19.739G 6.11e+19 294.2 363.8 221.4 152.5 65.6 28.0"
PLANS: dict[str, list[str]] = {
    "published": ["Teacher: no requests; the published dataset is read.", TRAINED],
    "hallucination": [
        "total 2,666,500 227.49M 125.44M 36.3 45.3 23.3 21.3 10.7 7.3",
        "Teacher: Qwen2.5-7B-Instruct@a09a35458c70, local server: teacher.server.command:"
        " .venv-teacher/bin/vllm: no such program; install it (`make install-teacher` for vLLM), or"
        " give its path",
        TRAINED,
    ],
    "decontaminated": [
        "Teacher: no requests; the published dataset is read.",
        "total 2.199G 5.08e+17 7.6 8.8 7.8 3.8 2.1 0.9",
    ],
    "released": [
        "Teacher: no requests; the published dataset is read.",
        "Training: none; the released checkpoints are evaluated.",
    ],
    "gpt-3.5-turbo": [
        "total 2,666,500 227.49M 125.44M $301.91 $150.95",
        "Teacher: gpt-3.5-turbo at api.openai.com: not asked (no key in OPENAI_API_KEY); the vendor"
        " shut it down on 23 October 2026: choose another teacher.model",
        TRAINED,
    ],
    "gpt-5.6-terra": [
        "total 2,666,500 227.49M 125.44M $1,960.25 $980.13",
        "Teacher: gpt-5.6-terra at api.openai.com: not asked (no key in OPENAI_API_KEY)",
        TRAINED,
    ],
}
"""Lines of each plan that differ between the overlays; runs of spaces are shortened."""


def test_every_overlay_is_tested():
    assert set(PLANS) == set(OVERLAYS)


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_names_costs_and_teacher(capsys, name):
    text = plan(capsys, name)
    lines = re.findall(r"^(?:total |Teacher: |Training: none).*", text, flags=re.MULTILINE)
    assert [" ".join(line.split()) for line in lines] == PLANS[name]


def test_a_plan_asks_for_the_list_and_for_no_answer(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FakeEndpoint(models=["gpt-5.6-terra"]) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url)
        served = plan(capsys, "gpt-5.6-terra")
        gone = plan(capsys, "gpt-3.5-turbo")
        plan(capsys, "published")
    at = f"at 127.0.0.1:{endpoint.port}: "
    assert f"Teacher: gpt-5.6-terra {at}served, by its list of 1 model\n" in served
    assert f"{at}not in its list of 1 model (gpt-5.6-terra); correct teacher.model\n" in gone
    assert (endpoint.lists, endpoint.asked.total()) == (2, 0)


def test_a_current_model_gets_nothing_that_it_refuses():
    for requests in (
        flow("gpt-5.6-terra").config.teacher.instructions,
        flow("gpt-5.6-terra").config.teacher.responses,
    ):
        sent = {key: value for key, value in dict(requests.sampling).items() if value is not None}
        assert set(sent) == {"extra_body"}
        assert set(sent["extra_body"]) == {"max_completion_tokens"}


def test_the_papers_teacher_is_complete():
    """Whatever the default teacher is, the overlay gives the requests of the paper."""
    other: dict[str, Any] = read_config([], [])
    other["teacher"] |= {
        "model": "another",
        "backend": "batch",
        "seed_requests": True,
        "prices": {},
    }
    for stage in ("instructions", "responses"):
        other["teacher"][stage]["sampling"] = {"temperature": 0.1, "top_p": 0.5, "max_tokens": 7}
    other["teacher"]["responses"]["system_message"] = "Another."
    overlaid = read_config([], [])
    update_config(overlaid, other)
    update_config(overlaid, read_yaml(OVERLAYS["gpt-3.5-turbo"]))
    made, paper = Workflow(overlaid), flow("gpt-3.5-turbo")
    assert made.pair_params("alpaca") == paper.pair_params("alpaca")
    shard = "generated_p3", "0000"
    assert made.instruction_params(*shard) == paper.instruction_params(*shard)
    teacher = made.config.teacher
    assert (teacher.model, teacher.backend) == ("gpt-3.5-turbo", "external")
    assert teacher.prices["gpt-3.5-turbo"].as_params() == {
        "prompt": 0.5,
        "completion": 1.5,
        "batch_share": 0.5,
    }
    sampling = teacher.instructions.sampling, teacher.responses.sampling
    assert [(s.temperature, s.top_p, s.max_tokens) for s in sampling] == [
        (1.0, None, 2048),
        (1.0, None, 1024),
    ]


def test_the_decontaminated_student_is_compared_with_its_twin_and_their_start():
    made = flow("decontaminated")
    params = Catalogue(made).tables["clean_scores"].entry.params(Catalogue(made))
    name = "LaMini-Flan-T5-77M"
    assert [(pair.student.name, pair.baseline.name) for pair in params.pairs] == [
        (name, "Flan-T5-small"),
        (f"{name}, decontaminated", "Flan-T5-small"),
        (name, f"{name}, decontaminated"),
    ]
    assert (params.mixture, params.words) == ("d_all", 13)
    assert made.mixture_hits("d_all_decontaminated") == [
        "results/analysis/d_all/contamination.parquet"
    ]
    usual = Catalogue(flow("published")).tables["clean_scores"]
    assert len(usual.entry.params(usual.catalogue).pairs) == 15


# --- Released checkpoints -------------------------------------------------------------------------


def test_released_checkpoints_are_evaluated_as_the_trained_ones_would_be():
    trained, released = flow("published"), flow("released")
    students = released.config.students
    assert len(students) == 15 and released.trained_students == []
    assert trained.trained_students == students
    for student in students:
        ours = released.evaluated_model_params(student)
        definition = released.config.models[student]
        assert ours.path == definition.published_as == f"MBZUAI/{definition.name}"
        assert ours.revision == (definition.published_revision or "main")
        wrapped = definition.architecture == "decoder-only"
        assert ours.prompt_format == ("alpaca" if wrapped else None)
        assert released.model_input(student) == []
        assert trained.model_input(student) == [
            f"results/checkpoints/{student}/final/manifest.json"
        ]
        same = trained.evaluated_model_params(student).model_copy(
            update={"path": ours.path, "revision": ours.revision}
        )
        assert ours == same
        assert definition.name in PUBLISHED_MODELS


def test_tables_of_training_are_left_out_and_those_of_scores_kept():
    trained, released = Catalogue(flow("published")), Catalogue(flow("released"))
    assert set(trained.tables) - set(released.tables) == {"training"}
    assert set(trained.figures) - set(released.figures) == {"learning_curves"}
    assert {"reproduction", "reproduced_improvement", "improvement"} <= set(released.tables)
    assert (trained.report_params().trained, released.report_params().trained) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("name", "expected"), [("published", "trained"), ("released", "released checkpoint")]
)
def test_table_3_tells_where_the_weights_are_from(name, expected):
    item = Catalogue(flow(name)).tables["03"]
    table = collection_table(Path(item.inputs["published"]), item.entry.params(item.catalogue))
    assert [row[-1].value for row in table.rows] == [expected] * 15


def test_a_student_that_was_not_released_is_named():
    own = "{mine: {name: M, role: student, initialization: gpt2, recipe: decoder_only}}"
    students = "[mine, lamini-t5-61m]"
    study = f"{{studies: {{models: {{models: {students}}}}}}}"
    config = (f"models={own}", f"students={students}", f"human_evaluation={study}")
    assert flow("published", config=config).trained_students == ["mine", "lamini-t5-61m"]
    with pytest.raises(SettingsError) as error:
        flow("released", config=config)
    assert str(error.value).splitlines()[1:] == [
        "  models.mine.published_as: required, because `checkpoints` is `released`"
    ]


def test_the_study_of_hallucination_has_its_own_questions_and_leaves_the_others_alone():
    plain, made = Workflow(read_config([], [])), flow("hallucination")
    models = made.study("hallucination").models
    assert made.studies_with_questions == ["hallucination"]
    assert made.study_inputs("hallucination")["answers"] == [
        f"results/answers/hallucination/{model}.jsonl" for model in models
    ]
    params = made.study_answer_params("hallucination", models[0])
    usual = plain.answer_params(models[0])
    questions = "results/downloads/hallucination.parquet"
    assert params.answers == usual.answers.model_copy(update={"instructions": questions})
    for model in plain.study("models").models:
        assert made.answer_params(model) == plain.answer_params(model)
    assert made.study_params("models") == plain.study_params("models")
    assert made.study_inputs("models") == plain.study_inputs("models")
