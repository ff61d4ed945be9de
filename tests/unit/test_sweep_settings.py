"""The students of a sweep: their names, their recipes, and what of the run does not change."""

from pathlib import Path
from typing import Any

import pytest

from lamini.catalogue.run import Run
from lamini.command import read_config
from lamini.errors import SettingsError
from lamini.settings import load_settings
from lamini.workflow import Workflow

pytestmark = pytest.mark.usefixtures("empty_project")
STUDENTS = ["lamini-t5-61m", "lamini-gpt-124m"]
SWEEP: dict[str, Any] = {"students": STUDENTS, "samples": [1.0, 0.03, 0.3], "seeds": [1, 42]}


def settings(**changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = read_config([], [])
    return config | {"sweeps": {"sizes": SWEEP | changes}}


def flow(**changes: Any) -> Workflow:
    return Workflow(settings(**changes))


def test_each_point_has_a_readable_name_and_the_whole_student_its_own() -> None:
    config = flow(students=STUDENTS[:1]).config
    assert [point.key for point in config.points("sizes")] == [
        "lamini-t5-61m.samples0.03.seed1",
        "lamini-t5-61m.samples0.03.seed42",
        "lamini-t5-61m.samples0.3.seed1",
        "lamini-t5-61m.samples0.3.seed42",
        "lamini-t5-61m.samples1.seed1",
        "lamini-t5-61m",
    ]
    assert config.sweep_students == [point.key for point in config.points("sizes")][:-1]
    mixtures = flow(students=STUDENTS[:1], mixtures=["d_all", "d_all_decontaminated"]).config
    keys = [point.key for point in mixtures.points("sizes")]
    assert keys[:6] == [point.key for point in config.points("sizes")]
    assert keys[-1] == "lamini-t5-61m.d_all_decontaminated.samples1.seed42"
    named = mixtures.models[keys[6]]
    assert named.name == "LaMini-T5-61M, d_all_decontaminated, 3 %, seed 1"
    assert named.mixture == "d_all_decontaminated"
    assert (named.published_as, named.recommended) == (None, False)


def test_a_point_differs_from_its_student_in_size_and_seed_alone() -> None:
    made = flow()
    whole = made.training_params("lamini-t5-61m").as_params()
    changes = {
        "lamini-t5-61m.samples0.03.seed1": {"samples": 0.03, "seed": 1, "held_out_seed": 42},
        "lamini-t5-61m.samples0.3.seed42": {"samples": 0.3},
        "lamini-t5-61m.samples1.seed1": {"seed": 1, "held_out_seed": 42},
    }
    for key, changed in changes.items():
        expected = whole | {"model": key, "recipe": whole["recipe"] | changed}
        assert made.training_params(key).as_params() == expected
        assert made.tokenized(key, "{mixture}/{tokenizer}") == "d_all/t5"
        sampled = ["results/dataset/d_all.parquet"] if "samples" in changed else []
        assert made.sampled_dataset(key) == sampled


def test_nothing_else_of_the_run_changes() -> None:
    with_sweep, without = flow(), Workflow(read_config([], []))
    assert with_sweep.config.as_params() == without.config.as_params() | {
        "sweeps": {
            "sizes": {
                **{key: SWEEP[key] for key in ("students", "samples", "seeds")},
                "mixtures": [],
                "tasks": None,
                "error": 1.0,
                "seed_deviation": 0.5,
                "version": 1,
            }
        }
    }
    assert "sweeps" not in without.config.as_params()
    for key in ("evaluated_models", "trained_students", "used_mixtures", "batches", "studies"):
        assert getattr(with_sweep, key) == getattr(without, key)
    for student in with_sweep.trained_students:
        assert with_sweep.training_json(student) == without.training_json(student)
        assert "samples" not in without.training_json(student)


def test_a_training_of_a_sweep_lets_others_go_first() -> None:
    made, key = flow(), "lamini-t5-61m.samples0.03.seed1"
    assert [made.training_priority(m) for m in (key, *STUDENTS)] == [-1, 1, 1]
    assert [made.sweep_trainings(m) for m in (key, *STUDENTS)] == [1, 0, 0]
    assert [made.training_submission(m) for m in (key, *STUDENTS)] == ["--nice=10000", None, None]


def test_twins_are_compared_seed_by_seed() -> None:
    """A student and its twin of the decontaminated mixture, both trained with two seeds."""
    twin = "lamini-t5-61m-clean"
    config = settings(students=[STUDENTS[0], twin], samples=[0.3, 1.0])
    changed = {"name": "Twin", "mixture": "d_all_decontaminated", "published_as": None}
    config["models"] |= {twin: config["models"][STUDENTS[0]] | changed}
    config["students"] = [*config["students"], twin]
    run = Run(Workflow(config))
    keys = [f"{{}}.samples{point}" for point in ("1.seed1", "0.3.seed1", "0.3.seed42")]
    swept, smaller, other = ([key.format(m) for m in (STUDENTS[0], twin)] for key in keys)
    assert [[*map(list, size)] for size in run.seed_runs(STUDENTS[0], twin)] == [
        [[STUDENTS[0], twin], swept],
        [smaller, other],
    ]
    evals = run.seed_evals([run.seed_runs(STUDENTS[0], twin)])
    assert {path.split("/")[2] for path in evals} == {*swept, *smaller, *other}
    assert len(evals) == 6 * 15
    config["sweeps"]["sizes"]["students"] = STUDENTS[:1]
    alone = Run(Workflow(config))
    assert alone.seed_runs(STUDENTS[0], twin) == [], "one seed of the twin"
    found = alone.seed_runs(STUDENTS[0], "t5-small")
    assert [len(size) for size in found] == [2, 2]
    assert {baseline for size in found for _, baseline in size} == {"t5-small"}


def test_the_written_configuration_can_be_read_again() -> None:
    config = load_settings(settings())
    assert len(config.sweep_students) == 10
    assert load_settings(config.as_params()) == config


def test_the_plan_of_a_share_is_that_share_of_the_whole() -> None:
    made = flow()
    whole = made.training_work("lamini-t5-61m")
    assert made.training_work("lamini-t5-61m.samples1.seed1").tokens == whole.tokens
    part = made.training_work("lamini-t5-61m.samples0.3.seed1")
    assert part.pairs == round(0.3 * whole.pairs)
    assert part.tokens == pytest.approx(0.3 * whole.tokens)
    assert part.steps == 5 * -(-part.pairs // 1024)


def test_a_student_of_a_sweep_is_shown_where_it_is_asked_for() -> None:
    key = "lamini-t5-61m.samples0.3.seed1"
    config = settings()
    config["students"] = [*config["students"], key]
    config["report"] = config["report"] | {"selected": [key]}
    made = Workflow(config)
    assert made.trained_students[-1] == key and key not in made.sweep_students
    assert made.config.report.selected == [key]


def test_a_sweep_over_students_and_mixtures_outside_the_run_takes_them_in() -> None:
    config = settings(mixtures=["d_all_decontaminated"], tasks=["rte", "wic"])
    config["students"] = ["lamini-t5-223m"]
    made = Workflow(config)
    assert "d_all_decontaminated" in made.used_mixtures and made.analysed_mixture == "d_all"
    assert len(made.sweep_students) == 12
    paths = made.sweep_evals("sizes")
    assert len(paths) == 24
    assert paths[0].startswith("results/evals/lamini-t5-61m.d_all_decontaminated.samples0.03.seed1")
    assert {Path(path).stem for path in paths} == {"rte", "wic"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": ["lamini-t5-61"]}, "sweeps.sizes.students: unknown model 'lamini-t5-61'"),
        ({"students": ["t5-small"]}, "sweeps.sizes.students: t5-small has role reference"),
        ({"mixtures": ["d_al"]}, "sweeps.sizes.mixtures: unknown mixture 'd_al'"),
        ({"tasks": ["rt"]}, "sweeps.sizes.tasks: unknown task 'rt'"),
        ({"samples": [0.1, 0.1]}, "`samples` has 0.1 twice"),
        ({"samples": [1.5]}, "sweeps.sizes.samples.0: Input should be less than or equal to 1"),
        ({"samples": []}, "sweeps.sizes.samples: List should have at least 1 item"),
        ({"sample": [0.1]}, "sweeps.sizes.sample: no such setting; did you mean `samples`?"),
    ],
)
def test_a_wrong_sweep_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        flow(**changes)
    assert message in str(error.value)


def test_what_cannot_be_swept_is_refused() -> None:
    key = "lamini-t5-61m.samples0.3.seed1"
    taken, half, released, task = settings(), settings(), settings(), settings(tasks=["rte"])
    taken["models"] = taken["models"] | {key: taken["models"]["lamini-t5-61m"]}
    student = half["models"]["lamini-t5-61m"] | {"recipe_changes": {"samples": 0.5}}
    half["models"] = half["models"] | {"lamini-t5-61m": student}
    released["checkpoints"] = "released"
    task["evaluated_tasks"] = ["wic"]
    for config, message in (
        (taken, f"models.{key}: this is the name of a sweep's student; rename it"),
        (half, "the recipe of lamini-t5-61m has `samples` already"),
        (released, "sweeps.sizes: needs `checkpoints: trained`"),
        (task, "sweeps.sizes.tasks: rte is not in `evaluated_tasks`"),
    ):
        with pytest.raises(SettingsError) as error:
            load_settings(config)
        assert message in str(error.value)
