"""Our scores and the paper's, with counts for comparison, and ≠ on different measurements."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from score_cases import PAPER, PUBLISHED, made_table, result, result_file, score_file, scored

from lamini.catalogue.params.common import ModelPair
from lamini.evaluation.comparison import compare
from lamini.files import derive_seed
from lamini.sweeps.two_levels import two_level_mean
from lamini.tables.chance import chance_notes, compare_pair, with_seeds
from lamini.tables.evaluation_tables import average_interval, read_scores
from lamini.tables.published import published_scores
from lamini.tables.reproduction_table import Paper

TASKS = {"rte": "RTE", "sst2": "SST"}
RIGHT, WRONG = 1.0, 0.0


WHICH = ("all", "without")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _model(name: str, family: str, role: str) -> dict[str, Any]:
    return scored(name.lower(), name, family=family, role=role, parameters=60_000_000)


def _paper_tasks() -> dict[str, int]:
    with (PAPER / "tasks.csv").open() as handle:
        return {row["dataset"]: int(row["examples"]) for row in csv.DictReader(handle)}


# --- Whether the run reproduces the paper


def _run_of_the_paper(scores_of: dict[str, str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Results of all 15 students, with the published scores of other models as scores."""
    published, sizes = published_scores(PUBLISHED["published"]), _paper_tasks()
    evals = [
        result_file(
            student.lower(),
            task,
            score=published[other][task],
            interval=[published[other][task]] * 2,
            examples=size,
        )
        for student, other in scores_of.items()
        for task, size in sizes.items()
    ]
    return evals, [_model(student, "any", "student") for student in scores_of]


def test_the_yardsticks_are_computed_from_the_papers_own_numbers() -> None:
    """Of 225 scores the initialisations would have 114 within; another student 31.7 %."""
    paper = Paper.read(Path(PUBLISHED["published"]), Path(PUBLISHED["collection"]))
    evals, models = _run_of_the_paper({student: student for student in paper.initializations})
    params = {"models": models, "tasks": {task: task for task in _paper_tasks()}}
    rows, text, _ = made_table("reproduction", PUBLISHED | {"evals": evals}, params)
    assert rows[-1] == {
        "Family": "All",
        "Models": "students",
        "How many": "15",
        "Scores compared": "225",
        "Within our 95 % interval": "225",
        "Within, %": "100.0",
        "If untrained": "114",
        "If another student, %": "31.7",
        "Mean difference": "0.00",
        "Mean absolute difference": "0.00",
    }
    assert "cannot reach 95 %" in text and "≠" not in text


def test_the_yardsticks_have_intervals_of_as_many_examples_as_ours() -> None:
    values = [RIGHT] * 6 + [WRONG] * 6
    evals = [result_file("lamini-t5-61m", task, values=values) for task in TASKS]
    model = _model("LaMini-T5-61M", "T5", "student")
    rows, *_ = made_table(
        "reproduction", PUBLISHED | {"evals": evals}, {"models": [model], "tasks": TASKS}
    )
    # With 12 examples all scores are inside; 277 and 872 separate T5-small from its student on SST.
    assert rows[-1]["If untrained"] == "2"


def test_the_reproduction_is_counted_by_family_and_role() -> None:
    # Published: LaMini-T5-61M 52.7 and 76.8, T5-small 53.4 and 71.0.
    scores = {"lamini-t5-61m": (53.7, 70.0), "t5-small": (53.4, 71.4)}
    evals = [
        result_file(model, task, score=score, interval=[score - 2, score + 2], examples=size)
        for model, pair in scores.items()
        for (task, size), score in zip((("rte", 277), ("sst2", 872)), pair, strict=True)
    ]
    models = [_model("LaMini-T5-61M", "T5", "student"), _model("T5-small", "T5", "reference")]
    params = {"models": models, "tasks": TASKS}
    rows, text, _ = made_table("reproduction", PUBLISHED | {"evals": evals}, params)
    student = ["1", "2", "1", "50.0", "1", "25.0", "-2.90", "3.90"]
    reference = ["1", "2", "2", "100.0", "", "", "0.20", "0.20"]
    assert [list(row.values()) for row in rows] == [
        ["T5", "students", *student],
        ["T5", "reference models", *reference],
        ["All", "students", *student],
        ["All", "reference models", *reference],
    ]
    rows, text, _ = made_table("reproduction", dict(PUBLISHED), params | {"models": []})
    assert rows == [] and "None of the paper's models took part" in text
    others = params | {"tasks": {"rte": "Another task"}}
    rows, *_ = made_table("reproduction", PUBLISHED | {"evals": evals}, others)
    assert [row["Scores compared"] for row in rows] == ["0"] * 4


def test_a_count_of_scores_that_were_measured_otherwise_is_marked() -> None:
    models = [_model("LaMini-T5-61M", "T5", "student"), _model("T5-small", "T5", "reference")]
    evals = [
        score_file("lamini-t5-61m", "rte", 52.0, examples=12),
        score_file("t5-small", "rte", 52.0),
    ]
    params = {"models": models, "tasks": {"rte": "RTE"}}
    _, text, cells = made_table("reproduction", PUBLISHED | {"evals": evals}, params)
    marked = [[n for n, cell in enumerate(row) if "≠" in cell["text"]] for row in cells]
    assert marked == [[3], [], [3], []]
    assert "≠ not measured as the published scores" in text and "(LaMini-T5-61M, RTE)" in text


PAIR = {
    "student": {"key": "lamini-t5-61m", "name": "LaMini-T5-61M"},
    "baseline": {"key": "t5-small", "name": "T5-small"},
}


def _pair(task: str, before: list[float], after: list[float], **changes: Any) -> list[str]:
    """Results of a baseline and its student; some fields of the student differ."""
    sizes = {"examples_published": len(before)}
    return [
        result_file("t5-small", task, values=before, **sizes),
        result_file("lamini-t5-61m", task, **{"values": after, **sizes, **changes}),
    ]


def test_improvements_are_compared_with_the_papers() -> None:
    # Published: RTE 52.7 - 53.4, SST 76.8 - 71.0.
    before = [RIGHT] * 500 + [WRONG] * 500
    falling = [RIGHT] * 300 + [WRONG] * 200 + [RIGHT] * 30 + [WRONG] * 470
    rising = [RIGHT] * 500 + [RIGHT] * 70 + [WRONG] * 430
    evals = _pair("rte", before, falling) + _pair("sst2", before, rising)
    params = {"pairs": [PAIR], "tasks": TASKS}
    rows, text, cells = made_table("reproduced_improvement", PUBLISHED | {"evals": evals}, params)
    columns = list(rows[0])
    for name in ("Ours", "Published", "Ours less published"):
        assert [row[columns.index(name)]["ours"] for row in cells] == [name != "Published"] * 2
    expected = [("-17.0", "-0.7", "-16.3", "no"), ("7.0", "5.8", "1.2", "yes")]
    of_tasks = zip(rows, (falling, rising), (-0.7, 5.8), expected, strict=True)
    for row, after, published, values in of_tasks:
        found = compare(before, after, derive_seed("improvement", "rte"))
        low, high = (end - published for end in found.interval or ())
        assert (row["Ours"], row["Published"], row["Ours less published"], row["Match"]) == values
        assert row["95 % interval"] == f"{low:+.1f} to {high:+.1f}"
    assert "1 of 2 published improvements over the initialisation match ours (50 %)" in text
    # Shifted to 0, the interval of RTE contains -0.7, and the interval of SST excludes 5.8.
    assert "By the same count 1 would match if nothing had been trained" in text
    paper, others, matching = (
        Paper.read(Path(PUBLISHED["published"]), Path(PUBLISHED["collection"])),
        0,
        0,
    )
    for task, after in (("RTE", falling), ("SST", rising)):
        found = compare(before, after, 1)
        theirs = paper.improvement("LaMini-T5-61M", task)
        assert found.interval is not None
        for other in paper.others("LaMini-T5-61M"):
            moved = paper.improvement(other, task) - found.difference
            others += 1
            matching += found.interval[0] + moved <= theirs <= found.interval[1] + moved
    assert others == 28 and f"{100 * matching / 28:.0f} % with another student's" in text


def test_a_replication_has_no_verdict_on_its_students() -> None:
    """Reference models are the paper's, so their scores are still compared."""
    models = [
        _model("T5-small", "T5", "reference") | {"key": "small"},
        _model("LaMini-T5-61M", "T5", "student") | {"key": "student"},
    ]
    evals = [score_file(model["key"], task, 52.0) for model in models for task in TASKS]
    params = {"models": models, "tasks": TASKS, "another_teacher": "Some-Model@0123"}
    rows, text, _ = made_table("reproduction", PUBLISHED | {"evals": evals}, params)
    judged = ("Within our 95 % interval", "Within, %", "If untrained", "If another student, %")
    shown = {(row["Family"], row["Models"]): [row[key] for key in judged] for row in rows}
    assert shown["T5", "students"] == shown["All", "students"] == [""] * 4
    assert shown["T5", "reference models"][:2] == ["1", "50.0"]
    # 52.7 and 76.8 are published
    assert {row["Mean difference"] for row in rows if row["Models"] == "students"} == {"-12.75"}
    assert "those of each other student of the paper, on average. Both have intervals" in text
    assert (
        "learned from answers of Some-Model@0123, the paper's from those of gpt-3.5-turbo" in text
    )
    evals = _pair("rte", [RIGHT] * 9, [WRONG] * 9)
    params = {"pairs": [PAIR], "tasks": {"rte": "RTE"}, "another_teacher": "Some-Model@0123"}
    rows, text, _ = made_table("reproduced_improvement", PUBLISHED | {"evals": evals}, params)
    assert (rows[0]["Ours"], rows[0]["Published"], rows[0]["Match"]) == ("-100.0", "-0.7", "")
    assert "match ours" not in text and "without a verdict" in text


def test_an_improvement_on_other_examples_is_not_tested() -> None:
    evals = _pair("rte", [RIGHT] * 9, [WRONG] * 9, data={"sha256": "bb" * 32})
    evals += _pair("sst2", [RIGHT] * 9, [WRONG] * 9, data={"sha256": "bb" * 32})
    params = {"pairs": [PAIR], "tasks": TASKS}
    rows, text, cells = made_table("reproduced_improvement", PUBLISHED | {"evals": evals}, params)
    assert [rows[0][key] for key in ("Ours", "Ours less published", "95 % interval", "Match")] == (
        [""] * 4
    )
    assert [cell["text"] for cell in cells[0][3:]] == ["–", "-0.7", "–≠", "–", "–"]
    assert [cell["text"] for cell in cells[1][3:]] == ["–", "+5.8", "–≠", "–", "–"]
    assert "No improvement could be compared" in text
    assert "data digest aaaaaaaa against bbbbbbbb (LaMini-T5-61M, RTE; LaMini-T5-61M, SST)" in text


# --- Students compared with their initializations


def _clean_scores(
    evals: list[str], examples: int, pair: dict[str, Any] = PAIR
) -> list[dict[str, str]]:
    """The table for RTE and SST; rows 0 and 1 of RTE share 13 words, row 2 only 9."""
    sharing = {"task": ["rte", "rte", "rte", "sst2"], "example": [0, 1, 2, 3]}
    sharing |= {"words": [13, 20, 9, 12], "pairs": [1] * 4}
    pq.write_table(pa.table(sharing), "examples.parquet")
    lines = [f"{task},{mixture},{examples}" for task in TASKS for mixture in ("alpaca", "d_all")]
    Path("contamination.csv").write_text("\n".join(["task,instruction_source,examples", *lines]))
    inputs = {"evals": evals, "contamination": "contamination.csv", "examples": "examples.parquet"}
    params = {"pairs": [pair], "tasks": TASKS, "mixture": "d_all", "words": 13}
    return made_table("clean_scores", inputs, params)[0]


def test_scores_without_the_sharing_examples_stand_beside_all() -> None:
    """RTE: 2 of 6 share words; the student is right on them and on one of the others."""
    before, after = [0.0, 0, 1, 0, 0, 0], [1.0, 1, 1, 1, 0, 0]
    evals = _pair("rte", before, after) + _pair("sst2", before, before)
    rte, mean = _clean_scores(evals, 6)
    assert (rte["Task"], rte["Examples"], rte["Sharing"]) == ("RTE", "6", "2")
    scores = [rte[f"{model}, {which}"] for model in ("Model", "Baseline") for which in WHICH]
    assert scores == ["66.7", "50.0", "16.7", "25.0"]
    differences = [rte[f"Difference, {which}"] for which in (*WHICH, "sharing")]
    assert differences == ["50.0", "25.0", "100.0"]
    found = compare(before[2:], after[2:], derive_seed("clean_scores", "rte", False))
    low, high = found.interval or (0, 0)
    assert rte["95 % interval"] == f"{low:+.1f} to {high:+.1f}"
    assert (mean["Task"], mean["Sharing"], mean["95 % interval"]) == ("mean of all tasks", "", "")
    # Means of RTE and SST, of which nothing is left out.
    assert [mean[f"Model, {which}"] for which in WHICH] == ["41.7", "33.3"]
    assert [mean[f"Difference, {which}"] for which in WHICH] == ["25.0", "12.5"]


@pytest.mark.parametrize("examples", [6, 7])
def test_other_examples_than_those_searched_have_no_score_without(examples: int) -> None:
    values = [RIGHT] * 6
    other = {"data": {"sha256": "bb" * 32}} if examples == 6 else {}
    evals = _pair("rte", values, values, **other) + _pair("sst2", values, values)
    rte, *_, mean = _clean_scores(evals, examples)
    keys = ("Sharing", "Model, without", "Difference, without", "Difference, sharing")
    assert [rte[key] for key in keys] == [""] * 4
    assert (rte["Model, all"], rte["Difference, all"]) == ("100.0", "0.0")
    assert (mean["Model, all"], mean["Model, without"]) == ("100.0", "")


def test_a_task_of_sharing_examples_alone_has_no_score_without() -> None:
    evals = _pair("rte", [0.0, 0], [1.0, 0]) + _pair("sst2", [0.0, 0], [1.0, 0])
    rte, mean = _clean_scores(evals, 2)
    assert [rte[f"Model, {which}"] for which in WHICH] == ["50.0", ""]
    assert rte["Difference, sharing"] == "50.0" and mean["Model, without"] == ""


def _improvement(
    evals: list[str], tasks: dict[str, str] = TASKS, pair: dict[str, Any] = PAIR
) -> Any:
    Path("contamination.csv").write_text(
        "task,instruction_source,comparable_examples,examples_13\n"
        "rte,alpaca,4,0\nrte,d_all,8,2\nsst2,d_all,0,0\n"
    )
    params = {"pairs": [pair], "tasks": tasks, "mixture": "d_all", "words": 13}
    inputs = {"evals": evals, "contamination": "contamination.csv"}
    return made_table("improvement", inputs, params)


def test_improvements_are_corrected_for_their_number() -> None:
    before = [WRONG] * 10
    evals = _pair("rte", before, [RIGHT] * 6 + [WRONG] * 4)  # p = 2 / 2**6
    evals += _pair("sst2", before, [RIGHT] * 9 + [WRONG])  # p = 2 / 2**9
    (rte, sst), text, cells = _improvement(evals)
    assert (rte["Difference"], rte["p"], rte["p (Holm)"]) == ("60.0", "0.0312", "0.0312")
    assert (sst["Difference"], sst["p"], sst["p (Holm)"]) == ("90.0", "0.0039", "0.0078")
    assert rte["Contaminated examples, %"] == "25.0" and sst["Contaminated examples, %"] == ""
    measured = [False] * 3 + [True] * 3 + [False] + [True] * 3
    assert [[cell["ours"] for cell in row] for row in cells] == [measured, measured]
    assert "p: exact McNemar test where an example is right or wrong" in text
    assert "else a permutation of signs; with several seeds" in text
    assert (rte["Baseline's score"], rte["Student's score"]) == ("0.0", "60.0")
    assert [row[5]["bold"] for row in cells] == [True, True]
    assert "corrected for the 2 comparisons of this table by Holm's method" in text
    third = {"rte": "RTE", "sst2": "SST", "wic": "WiC"}
    (rte, _, wic), _, cells = _improvement(evals + _pair("wic", before, before), third)
    assert (rte["p"], rte["p (Holm)"]) == ("0.0312", "0.0625"), (
        "correction for the two remaining tests"
    )
    assert [row[5]["bold"] for row in cells] == [False, True, False]
    assert (wic["p"], wic["95 % interval"]) == ("1.0000", "-30.8 to +30.8")


ONE_SEED = "how much another seed of a student's training would change is not in them"
MIXED = "mixed model with seeds and examples as random factors"


def _with_seeds(task: str, before: list[float], seeds: list[list[float]]) -> list[str]:
    """Results of a baseline, and of trainings of its student at two sizes; the first is itself."""
    names = ["lamini-t5-61m", *(f"swept{number}" for number in range(1, len(seeds)))]
    return [
        result_file(model, task, values=values)
        for model, values in zip(["t5-small", *names], [before, *seeds], strict=True)
    ]


SWEPT = PAIR | {
    "seeds": [
        [("lamini-t5-61m", "t5-small"), ("swept1", "t5-small")],
        [("swept2", "t5-small"), ("swept3", "t5-small")],
    ]
}


def _drawn(examples: int = 40) -> tuple[list[float], list[list[float]]]:
    """Right and wrong answers of a baseline and of four trainings, two at each of two sizes."""
    draws = np.random.default_rng(3)
    shares = (0.3, 0.75, 0.5, 0.6, 0.4)
    before, *seeds = ((draws.random(examples) < share).astype(float).tolist() for share in shares)
    return before, seeds


def test_an_improvement_has_the_chance_of_seeds_where_a_sweep_measured_it() -> None:
    before, seeds = _drawn()
    evals = _with_seeds("rte", before, seeds) + _pair("sst2", before, seeds[0])
    (rte, sst), text, _ = _improvement(evals, pair=SWEPT)
    own, *others = (np.subtract(values, before)[None] for values in seeds)
    sizes = [np.concatenate([own, others[0]]), np.concatenate(others[1:])]
    expected = two_level_mean({"rte": own}, [{"rte": table} for table in sizes])
    alone = compare(before, seeds[0], derive_seed("improvement", "sst2"))
    assert expected.interval is not None and alone.interval is not None
    for row, interval, p_value in (
        (rte, expected.interval, expected.p_value),
        (sst, alone.interval, alone.p_value),  # the sweep does not evaluate this task
    ):
        assert row["95 % interval"] == f"{interval[0]:+.1f} to {interval[1]:+.1f}"
        assert row["p"] == f"{p_value:.4f}"
        assert row["Difference"] == f"{100 * (np.mean(seeds[0]) - np.mean(before)):.1f}"
    assert expected.interval[0] < alone.interval[0], "seeds are a second kind of chance"
    assert MIXED in text and ONE_SEED not in text
    evals = _pair("rte", before, seeds[0]) + _pair("sst2", before, seeds[0])
    (once, _), text, _ = _improvement(evals)
    low, high = compare(before, seeds[0], derive_seed("improvement", "rte")).interval or (0, 0)
    assert once["95 % interval"] == f"{low:+.1f} to {high:+.1f}"
    assert ONE_SEED in text and MIXED not in text


def test_notes_say_what_the_intervals_of_which_students_hold() -> None:
    once, several = [], [[("a", "b"), ("c", "b")]]
    alone = f"Intervals are of the examples alone: {ONE_SEED}."
    assert chance_notes([once, once]) == [alone]
    (mixed,) = chance_notes([several, several])
    assert MIXED in mixed
    assert chance_notes([several, once]) == [mixed, f"Other students: {alone}"]
    before, seeds = _drawn()
    _with_seeds("rte", before, seeds)
    results = read_scores([f"evals/{m}/rte.json" for m in ("t5-small", "lamini-t5-61m", "swept1")])
    for pair, test in ((PAIR, "McNemar"), (SWEPT, "mixed model")):
        found = compare_pair(results, ModelPair.model_validate(pair), "rte", 1)
        assert found is not None and found.test == test


def test_a_pair_of_other_examples_has_no_difference_whatever_its_seeds() -> None:
    other = {"data": {"sha256": "bb" * 32}}
    results = {
        model: {"rte": result(model, "rte", values=[RIGHT, WRONG, RIGHT], **changes)}
        for model, changes in (("a", {}), ("b", other), ("c", {}), ("d", {}), ("e", {}), ("f", {}))
    }
    seeds = [[("c", "d"), ("e", "f")]]
    assert with_seeds(results, ("a", "b"), seeds, ["rte"]) is None
    assert with_seeds(results, ("a", "d"), seeds, ["rte"]) is not None


def test_trainings_on_other_examples_tell_nothing_of_seeds() -> None:
    before, seeds = _drawn()
    evals = _with_seeds("rte", before, seeds)
    for model, values in zip(("swept1", "swept2"), seeds[1:], strict=False):
        result_file(model, "rte", values=values, data={"sha256": "bb" * 32})
    (rte,), _, _ = _improvement(evals, {"rte": "RTE"}, SWEPT)
    low, high = compare(before, seeds[0], derive_seed("improvement", "rte")).interval or (0, 0)
    assert rte["95 % interval"] == f"{low:+.1f} to {high:+.1f}"


def test_the_gain_in_the_average_has_the_chance_of_seeds_of_all_tasks() -> None:
    before, seeds = _drawn()
    evals = _with_seeds("rte", before, seeds) + _with_seeds("sst2", before[::-1], seeds)
    models = [scored("lamini-t5-61m", "Student"), scored("t5-small", "Base", role="reference")]
    params = {"models": models, "bases": {"lamini-t5-61m": "t5-small"}, "reference_lines": []}
    params |= {"tasks": TASKS}
    _, text, cells = made_table("averages", PUBLISHED | {"evals": evals}, params)
    assert ONE_SEED in text
    params |= {"seeds": {"lamini-t5-61m": SWEPT["seeds"]}}
    _, swept, swept_cells = made_table("averages", PUBLISHED | {"evals": evals}, params)
    assert MIXED in swept and ONE_SEED not in swept
    tables = [
        {
            task: np.subtract(runs, start)
            for task, start in (("rte", before), ("sst2", before[::-1]))
        }
        for runs in (seeds[:1], seeds[:2], seeds[2:])
    ]
    expected = two_level_mean(tables[0], tables[1:])
    assert swept_cells[0][6]["interval"] == pytest.approx(list(expected.interval or ()))
    assert swept_cells[0][6]["value"] == cells[0][6]["value"] == pytest.approx(expected.mean)
    assert swept_cells[0][6]["interval"][0] < cells[0][6]["interval"][0]


def test_scores_without_the_sharing_examples_have_the_chance_of_seeds() -> None:
    before, seeds = _drawn()
    evals = _with_seeds("rte", before, seeds) + _pair("sst2", before, before)
    rte = _clean_scores(evals, 40, SWEPT)[0]
    kept = [np.subtract(values, before)[2:] for values in seeds]  # rows 0 and 1 share words
    sizes = [{"rte": np.array(runs)} for runs in (kept[:1], kept[:2], kept[2:])]
    low, high = two_level_mean(sizes[0], sizes[1:]).interval or (0, 0)
    assert rte["95 % interval"] == f"{low:+.1f} to {high:+.1f}"


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"protocol": "modern"}, "protocol paper against modern"),
        ({"precision": "bf16"}, "precision fp32 against bf16"),
        ({"data": {"sha256": "bb" * 32}}, "data digest aaaaaaaa against bbbbbbbb"),
        ({"values": [RIGHT] * 9}, "examples 10 against 9"),
    ],
)
def test_different_measurements_are_marked_at_the_cell(changes: dict[str, Any], fact: str) -> None:
    evals = _pair("rte", [WRONG] * 10, [RIGHT] * 10, **changes)
    ((row,), text, cells) = _improvement(evals, {"rte": "RTE"})
    assert f"≠ not measured as the baseline: {fact} (LaMini-T5-61M, RTE)." in text
    same_examples = "protocol" in changes or "precision" in changes
    assert cells[0][5]["text"] == ("+100.0≠" if same_examples else "–≠")
    assert (row["p"] == "", row["95 % interval"] == "") == (not same_examples,) * 2


# --- Tables of scores


def _score_params(*models: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": "Scores.",
        "models": list(models),
        "tasks": TASKS,
        "published_models": ["T5-small", "LaMini-T5-61M"],
    }


def test_scores_stand_beside_the_published_ones() -> None:
    evals = [score_file("lamini-t5-61m", "rte", 53.7), score_file("lamini-t5-61m", "sst2", 70.0)]
    params = _score_params(_model("LaMini-T5-61M", "T5", "student"))
    rows, text, cells = made_table("scores", PUBLISHED | {"evals": evals}, params)
    assert [list(row.values()) for row in rows] == [
        ["T5-small", "61M", "published", "53.4", "71.0", "62.2"],
        ["LaMini-T5-61M", "61M", "ours", "53.7", "70.0", "61.9"],
        ["LaMini-T5-61M", "61M", "published", "52.7", "76.8", "64.8"],
        ["LaMini-T5-61M", "61M", "difference", "1.0", "-6.8", "-2.9"],
    ]
    assert "| +1.0° | -6.8 | -2.9 |" in text, "the published score of RTE is in our interval"
    # The average's half-width: two of 2 points, squared and added, over two tasks.
    assert [cell["interval_text"] for cell in cells[3][3:]] == [
        "-1.0 to +3.0",
        "-8.8 to -4.8",
        "-4.3 to -1.5",
    ]
    assert "≠" not in text
    assert "\nAverage is the unweighted mean of the tasks.\n" in text


def test_an_average_has_an_interval_of_its_tasks_intervals() -> None:
    tasks = [
        result("m", "rte", score=90.0, interval=[87.0, 91.0], examples=9),
        result("m", "sst2", score=50.0, interval=[46.0, 52.0], examples=9),
    ]
    assert average_interval(tasks) == pytest.approx((70 - 5 / 2, 70 + 5**0.5 / 2))
    assert average_interval([*tasks, result("m", "wic", score=3.0, examples=9)]) is None
    assert average_interval([]) is None


def test_a_score_without_an_interval_has_a_difference_and_no_verdict() -> None:
    evals = [score_file("lamini-t5-61m", "rte", 52.7, interval=None)]
    evals += [score_file("lamini-t5-61m", "sst2", 70.0)]
    params = _score_params(_model("LaMini-T5-61M", "T5", "student"))
    _, _, cells = made_table("scores", PUBLISHED | {"evals": evals}, params)
    assert [cell["text"] for cell in cells[3][3:]] == ["+0.0", "-6.8", "-3.4"]
    assert [cell["interval_text"] for cell in cells[1][3:]] == [None, "68.0 to 72.0", None]


def test_scores_measured_otherwise_than_the_published_are_marked() -> None:
    evals = [
        score_file("lamini-t5-61m", "rte", 53.7, examples=12),
        score_file("lamini-t5-61m", "sst2", 70.0, protocol="modern"),
    ]
    params = _score_params(_model("LaMini-T5-61M", "T5", "student"))
    _, text, cells = made_table("scores", PUBLISHED | {"evals": evals}, params)
    assert [cell["text"] for cell in cells[3][3:]] == ["+1.0°≠", "-6.8≠", "-2.9≠"]
    start = "≠ not measured as the published score"
    assert f"{start}: examples 277 against 12 (LaMini-T5-61M, RTE)." in text
    assert f"{start}: protocol paper against modern (LaMini-T5-61M, SST)." in text
    assert r"$\neq$" in Path("scores.tex").read_text()


def test_models_measured_otherwise_than_most_are_marked() -> None:
    models = [_model(name, "T5", "student") for name in ("One", "Two", "Three")]
    evals = [score_file(m["key"], task, 50.0) for m in models for task in TASKS]
    evals[-1] = score_file("three", "sst2", 50.0, precision="bf16")
    _, text, cells = made_table("scores", PUBLISHED | {"evals": evals}, _score_params(*models))
    shown = [[cell["text"] for cell in row[3:]] for row in cells if row[2]["value"] == "ours"]
    assert shown == [["50.0"] * 3, ["50.0"] * 3, ["50.0", "50.0≠", "50.0≠"]]
    assert "≠ not measured as most models of this table: precision fp32 against bf16" in text
