"""Figures: equal bytes in each run, with their data as CSV."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from score_cases import item_params, result_file, scored, student

from lamini.catalogue.params.report import ReportParams
from lamini.errors import LaminiError
from lamini.figures import draw
from lamini.figures.draw import draw_figure
from lamini.figures.scores import size_ticks, spread
from lamini.figures.style import (
    COLOURS,
    COLUMN_WIDTH,
    PAGE_WIDTH,
    RATING_COLOURS,
    symbol_text,
    text_colour,
)
from lamini.report.charts import learning_chart, length_chart, score_chart
from lamini.symbols import pieces
from lamini.training.metrics import StepMetrics

PAPER = Path(__file__).parents[2] / "config/paper"
SYMBOLS = {"alpaca": "D\u0302_A", "original_p3": "D_P3"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _draw(name: str, inputs: dict[str, Any], params: dict[str, Any]) -> list[dict[str, str]]:
    """Draw twice, compare every byte, and return the data."""
    forms = ("pdf", "png", "csv")
    bytes_of = []
    save, saved = draw.save_drawing, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "save_drawing", lambda *a: (saved.append(a[0].figure), save(*a)))
        _draw_twice(name, inputs, params, bytes_of, forms)
    assert bytes_of[0] == bytes_of[1]
    assert bytes_of[0][0].startswith(b"%PDF")
    assert bytes_of[0][1].startswith(b"\x89PNG")
    _check_type(saved[0])
    with open(f"{name}-a.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def _draw_twice(
    name: str, inputs: Any, params: Any, bytes_of: list[list[bytes]], forms: tuple[str, ...]
) -> None:
    for run in ("a", "b"):
        outputs: dict[str, str | Path] = {form: f"{name}-{run}.{form}" for form in forms}
        draw_figure(name, inputs, item_params(params, reproduction=False), outputs)
        bytes_of.append([Path(outputs[form]).read_bytes() for form in forms])


def _check_type(figure: Figure) -> None:
    """The figure is a column or a page wide, and its type readable at that width."""
    assert figure.get_figwidth() in (COLUMN_WIDTH, PAGE_WIDTH)
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
    assert min(sizes) >= 7


def _ratings(rows: list[tuple[str, str, str, str]]) -> str:
    with open("ratings.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["part", "subject", "rater", "rating"])
        writer.writerows(rows)
    return "ratings.csv"


def test_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    points = pl.DataFrame(
        {
            "panel": [0] * 6,
            "instruction_source": ["alpaca", "original_p3"] * 3,
            "instruction": list("abcdef"),
            "x": [0.0, 1, 2, 3, 4, 5],
            "y": [0.5] * 6,
        }
    )
    points.write_parquet("projection.parquet")
    params = {"panels": [["alpaca", "original_p3"]], "symbols": SYMBOLS}
    Path("kept.csv").write_text(
        "panel,perplexity,kept_percent,neighbours,chance_percent\na,30.0,61.7,15,0.2\n"
    )
    inputs = {"projection": "projection.parquet", "neighbourhoods": "kept.csv"}
    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda axis, title, **style: titles.append(title))
    assert len(_draw("3", inputs, params)) == 6
    assert titles[0] == (
        "(a)  t-SNE, perplexity 30, cosine distance, PCA start\n"
        "62 % of the 15 nearest neighbours kept (by chance 0 %)"
    )


def test_dataset_ratings_prefer_people() -> None:
    path = _ratings(
        [
            ("instruction", "alpaca", "human", "A"),
            ("response", "alpaca", "human", "C"),
            ("response", "alpaca", "machine", "D"),
            ("response", "original_p3", "human", ""),
        ]
    )
    rows = _draw("4", {"ratings": path}, {"symbols": SYMBOLS})
    drawn = {(row["part"], row["subset"]): row for row in rows}
    assert drawn["response", "Y\u0302_A"]["rate_c"] == "1"
    assert drawn["response", "Y\u0302_A"]["rate_d"] == "0", "ratings of the judge are left out"
    assert {row["subset"] for row in rows} == {"X\u0302_A", "Y\u0302_A", "X_P3", "Y_P3"}


def test_a_figure_says_that_ratings_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda axis, title: titles.append(title))
    path = _ratings([("", "m1", "human", "A"), ("", "m1", "human", ""), ("", "m1", "machine", "D")])
    published = str(PAPER / "human_evaluation_models.csv")
    params = {"names": {"m1": "One"}}
    (ours, *_) = _draw("6", {"ratings": path, "published": published}, params)
    assert titles[0] == "this run,\nrated by people, 1 of 2 ratings so far"
    assert [ours[f"rate_{level}"] for level in "abcd"] == ["1", "0", "0", "0"]


def test_model_ratings_are_sorted_best_first_with_one_row_per_model_in_both_panels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First the models of this run in the order of its ratings, then the other published ones."""
    ticks: list[list[str]] = []
    kept = Axes.set_yticks

    def set_yticks(axis: Axes, places: Any, labels: Any = None, **style: Any) -> None:
        ticks.append(list(labels))
        kept(axis, places, labels, **style)

    monkeypatch.setattr(Axes, "set_yticks", set_yticks)
    path = _ratings([("", "m1", "machine", "B"), ("", "m2", "machine", "A")])
    params = {"names": {"m1": "LaMini-T5-738M", "m2": "GPT-2-xl"}}
    published = str(PAPER / "human_evaluation_models.csv")
    rows = _draw("6", {"ratings": path, "published": published}, params)
    names = [row["model"] for row in rows if row["score"] == "ours"]
    assert names == ["GPT-2-xl", "LaMini-T5-738M"]
    assert sum(row["score"] == "published" for row in rows) == 19
    assert ticks[0] == ticks[1]
    assert ticks[0][:3] == ["GPT-2-xl", "LaMini-T5-738M", "LaMini-Flan-T5-783M"]
    assert len(ticks[0]) == 19


def test_ranks_are_among_the_models_of_both_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    kept = Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda a, x, y, t, **k: (texts.append(t), kept(a, x, y, t, **k))[1]
    )
    rated = {"m1": "BC", "m2": "CB", "m3": "A", "m4": "D", "m5": ""}
    path = _ratings([("", m, "machine", level) for m, levels in rated.items() for level in levels])
    names = ["LLaMA-7B", "GPT-2-xl", "Own", "LaMini-T5-738M", "T5-large"]
    params = {"names": dict(zip(rated, names, strict=True))}
    published = str(PAPER / "human_evaluation_models.csv")
    rows = _draw("6", {"ratings": path, "published": published}, params)
    # "Own" has no published ratings, and T5-large none of this run.
    ranks = {(row["model"], row["score"]): row["rank"] for row in rows if row["rank"]}
    assert ranks == {
        ("LLaMA-7B", "ours"): "1",
        ("GPT-2-xl", "ours"): "1",
        ("LaMini-T5-738M", "ours"): "3",
        ("LLaMA-7B", "published"): "2",
        ("GPT-2-xl", "published"): "3",
        ("LaMini-T5-738M", "published"): "1",
    }
    assert [text for text in texts if "→" in text] == ["1 → 2", "1 → 3", "3 → 1"] * 2


def test_scores_show_the_published_models_and_ours() -> None:
    rows = _scores()
    ours = [row for row in rows if row["score"] == "ours"]
    assert [(row["model"], float(row["average"])) for row in ours] == [("Mine", 61.0)]
    assert len(rows) == 1 + 15 + 2 + 15
    drawn = {row["model"]: row["drawn"] for row in rows}
    assert drawn["LaMini-T5-61M"] == drawn["Mine"] == "dot"
    assert (drawn["T5-small"], drawn["Alpaca-7B"]) == ("base", "line")
    assert not any(row["unlike"] for row in rows)


def test_a_base_model_of_this_run_replaces_the_published_one() -> None:
    evals = [result_file(key, "rte", score=60.0, examples=277) for key in ("mine", "base")]
    kind = {"role": "reference", "architecture": "encoder-decoder"}
    base = scored("base", "T5-small", **kind)
    params = {"models": [scored("mine", "Mine"), base], "reference_lines": [], "tasks": ["rte"]}
    rows = _draw("5", {"evals": evals, "published": str(PAPER / "eval_results.csv")}, params)
    found = [(row["score"], row["drawn"]) for row in rows if row["model"] == "T5-small"]
    assert found == [("published", ""), ("ours", "base")]
    chart = score_chart(Path("5-a.csv"), ReportParams.model_construct())
    small = [one for one in chart["panels"][0]["series"] if one["small"]]
    assert {("T5", "base models, ours"), ("T5", "base models, published")} <= {
        (one["name"], one["kind"]) for one in small
    }
    named = [label for one in small for label in one["labels"]]
    assert named.count("T5-small") == 1


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([58.3, 62.3], [58.3, 62.3]),
        ([60.0, 60.0], [59.5, 60.5]),
        ([62.0, 60.2, 60.0], [62.0, 60.6, 59.6]),
        ([1.0, 1.2, 2.1, 9.0], [0.4333, 1.4333, 2.4333, 9.0]),
        ([], []),
    ],
)
def test_labels_keep_a_distance_and_stay_near_their_lines(values, places) -> None:
    assert spread(values, 1.0) == pytest.approx(places, abs=1e-3)


def test_sizes_on_the_axis_are_round_and_few() -> None:
    assert size_ticks(5e7, 2e9) == [5e7, 1e8, 2e8, 5e8, 1e9, 2e9]
    assert size_ticks(8e5, 2e9) == [1e6, 1e7, 1e8, 1e9]


def test_symbols_have_hat_and_index_and_other_names_stay() -> None:
    assert symbol_text("X\u0302_t,SI") == r"$\hat{X}_{\mathrm{t,SI}}$"
    assert symbol_text("D_P3") == r"$D_{\mathrm{P3}}$"
    assert symbol_text("Cooking (5 $)") == r"Cooking (5 \$)"
    assert pieces("X\u0302_SI alpaca") == [("X\u0302", "SI"), (" alpaca", "")]
    assert pieces("D_ALL: of Y_P3") == [("D", "ALL"), (": of Y", "P3")]
    assert pieces("d_all") == [("d_all", "")] and pieces("") == [("", "")]


def test_the_page_names_lines_with_hat_and_index() -> None:
    _lengths()
    chart = length_chart(
        data=Path("lengths-a.csv"), params=ReportParams.model_construct(symbols=SYMBOLS)
    )
    assert [series["shown"] for panel in chart["panels"] for series in panel["series"]] == [
        [("D\u0302", "A")],
        [("D\u0302", "A")],
        [("D", "P3")],
    ]


def _lightness(colour: str) -> float:
    """CIE L* of a colour."""
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in to_rgb(colour)]
    return 116 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16


def test_colours_are_told_apart_in_greyscale() -> None:
    levels = [_lightness(colour) for colour in RATING_COLOURS.values()]
    assert all(after - before > 14 for before, after in pairwise(levels)), levels
    lines = [_lightness(colour) for colour in COLOURS]
    assert all(abs(after - before) > 12 for before, after in pairwise(lines)), lines
    assert max(lines) < 80
    assert [text_colour(colour) for colour in RATING_COLOURS.values()] == ["white"] + ["black"] * 3


def _scores(*others: str, **changes: Any) -> list[dict[str, str]]:
    """Figure 5 of a model, and of others that differ from it in some facts of their scores."""
    changed = {"mine": {}} | dict.fromkeys(others, changes)
    fields = {"score": 61.0, "interval": [59, 63], "examples": 277}
    evals = [result_file(key, "rte", **fields | facts) for key, facts in changed.items()]
    models = [scored(key, key.capitalize(), family=f"{key}-GPT") for key in changed]
    params = {"models": models, "reference_lines": [], "tasks": ["rte"]}
    return _draw("5", {"evals": evals, "published": str(PAPER / "eval_results.csv")}, params)


def test_scores_that_were_measured_otherwise_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    set_labels, labels = Axes.set, []
    monkeypatch.setattr(Axes, "set", lambda a, **k: (labels.append(k), set_labels(a, **k)))
    rows = _scores("other", "third", examples=12, examples_published=277, precision="bf16")
    found = {row["model"]: row["unlike"] for row in rows if row["score"] == "ours"}
    # Two of three are in bf16 and have 12 examples; all three should have the published 277.
    assert found == {"Mine": "examples, precision", "Other": "examples", "Third": "examples"}
    assert labels[0]["xlabel"] == "parameters\n≠ not measured as the others: examples, precision"
    chart = score_chart(Path("5-a.csv"), ReportParams.model_construct())
    (panel,) = chart["panels"]
    series = {(one["name"], one["kind"]): one["labels"] for one in panel["series"]}
    assert series["mine-GPT", "ours"] == ["Mine ≠ examples, precision"]
    assert panel["levels"] == [
        {"y": 58.3, "published": True, "label": "LLaMA-7B: published 58.3", "place": 0},
        {"y": 62.3, "published": True, "label": "Alpaca-7B: published 62.3", "place": 1},
    ]
    assert chart["hint"].endswith("≠ says what was not measured as for the others.")


def test_a_reference_model_has_one_label_on_the_page_above_its_lines() -> None:
    rows = ["model,family,architecture,parameters,score,average,drawn,unlike"]
    rows += ["A,F,f,7e9,published,60.25,line,", "A,F,f,7e9,ours,59.5,line,examples"]
    Path("5.csv").write_text("\n".join(rows) + "\n")
    chart = score_chart(Path("5.csv"), ReportParams.model_construct())
    label = "A: ours 59.5 ≠ examples, published 60.2"
    assert chart["panels"][0]["levels"] == [
        {"y": 59.5, "published": False, "label": "", "place": 0},
        {"y": 60.25, "published": True, "label": label, "place": 0},
    ]


def test_learning_curves() -> None:
    losses = [(None, 3.0), (2.9, None), (2.5, 2.6)]
    rows = [
        StepMetrics.untrained(held_out).model_copy(update={"step": step, "loss": loss})
        for step, (loss, held_out) in enumerate(losses)
    ]
    StepMetrics.write_rows("metrics.jsonl", rows)
    params = {"students": [student("s", "S")]}
    drawn = _draw("learning_curves", {"metrics": ["metrics.jsonl"]}, params)
    named = ReportParams.model_construct(student_keys=["s"], students=["S"])
    chart = learning_chart(Path("learning_curves-a.csv"), named)
    assert [(one["name"], one["kind"], one["points"]) for one in chart["panels"][0]["series"]] == [
        ("S", "training", [[1, 2.9], [2, 2.5]]),
        ("S", "held out", [[0, 3.0], [2, 2.6]]),
    ]
    assert [list(row.values()) for row in drawn] == [
        ["s", "0", "", "3.0"],
        ["s", "1", "2.9", ""],
        ["s", "2", "2.5", "2.6"],
    ]


def test_metrics_without_a_column_are_refused() -> None:
    row = StepMetrics.untrained(None).as_json()
    del row["padding_share"]
    Path("metrics.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(LaminiError, match=r"metrics\.jsonl: row 1: padding_share: Field required"):
        _draw("learning_curves", {"metrics": ["metrics.jsonl"]}, {"students": [student("s", "S")]})


def _lengths() -> list[dict[str, str]]:
    lines = ["instruction_source,text,tokens_from,samples", "alpaca,instruction,0,0"]
    lines += ["alpaca,instruction,1,3", "alpaca,response,0,1", "original_p3,response,4,4"]
    Path("lengths.csv").write_text("\n".join(lines) + "\n")
    return _draw("lengths", {"lengths": "lengths.csv"}, {"symbols": SYMBOLS})


def test_lengths() -> None:
    rows = _lengths()
    assert [float(row["percent"]) for row in rows] == [0, 100, 100, 100]


def test_near_duplicates_at_each_threshold() -> None:
    found = {"instruction_source": ["alpaca"] * 3 + ["original_p3"]}
    found |= {"similarity": pl.Series([0.8, 0.87, 1.0, 0.96], dtype=pl.Float32)}
    pl.DataFrame(found).write_parquet("near.parquet")
    Path("near.csv").write_text(
        "instruction_source,instructions\nalpaca,10\noriginal_p3,4\nd_all,14\n"
    )
    inputs = {"near_duplicates": "near.parquet", "counts": "near.csv"}
    params = {"mixture": "d_all", "threshold": 0.8, "symbols": SYMBOLS}
    rows = _draw("near_duplicates", inputs, params)
    lines = {s: [r for r in rows if r["instruction_source"] == s] for s in ("alpaca", "d_all")}
    steps = [f"{0.8 + 0.02 * n:.2g}" for n in range(10)] + ["1.0"]
    assert [row["similarity_from"] for row in lines["alpaca"]] == steps
    assert [row["near_duplicates"] for row in lines["alpaca"]] == [*"32221111111"]
    assert [row["near_duplicates"] for row in lines["d_all"]] == [*"43332222211"]
    assert next(float(row["percent"]) for row in lines["d_all"]) == pytest.approx(400 / 14)


def test_verbs_are_the_most_frequent_of_all_sources() -> None:
    lines = ["instruction_source,verb,noun,instructions,sampled", "alpaca,eat,soup,90,99"]
    lines += [f"d_all,v{n},n{m},{100 - n},9999" for n in range(30) for m in range(6)]
    Path("verbs.csv").write_text("\n".join([*lines, "d_all,go,,500,9999"]) + "\n")
    rows = _draw("verbs", {"verbs": "verbs.csv"}, {"mixture": "d_all"})
    assert [row["verb"] for row in rows] == [f"v{n}" for n in range(20) for _ in range(4)]
    Path("verbs.csv").write_text(lines[0] + "\n")
    assert _draw("verbs", {"verbs": "verbs.csv"}, {"mixture": "d_all"}) == []
