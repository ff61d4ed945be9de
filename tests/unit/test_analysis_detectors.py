"""The detectors of languages, responses and verbs: floors of their errors, and single rules."""

import csv
from itertools import pairwise, product
from pathlib import Path

import pytest
from score_cases import made_table
from test_analysis_mattr import HOSTILE

from lamini.analysis.detectors import COLUMNS, measure_detectors, measured_rows
from lamini.analysis.language import LanguageDetector
from lamini.analysis.responses import is_non_answer, is_unfinished
from lamini.analysis.verbs import load_parser, task_of, verbs_and_nouns
from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.settings.dataset import Funnel, Verbs
from lamini.settings.params.analysis import MeasureDetectors

SAMPLES = Path(__file__).parents[2] / "config/detectors"
NAMES = ("refusals", "non_answers", "unfinished", "languages", "verbs")
FLOORS = {
    "refusal": (0.9, 0.8),
    "non_answer": (0.85, 0.7),
    "unfinished": (0.9, 0.7),
    "other_language": (0.95, 0.85),
    "verb": (0.9, 0.9),
    "noun": (0.9, 0.9),
}
"""Minimum precision and recall."""
TASKS = (
    "Write a poem about {}.",
    "Explain {} to a child.",
    "What do you know about {}?",
    "Give three examples of {}.",
    "Summarize the history of {} in two sentences.",
    "Translate the following text about {} into Spanish: ¿Dónde está la biblioteca del pueblo?",
    "Describe a day with {}:Ich bin gestern mit meiner Familie ans Meer gefahren.",
    "Which word does not fit: {}, casa, maison, Haus, huis",
    "Calculate how much {} costs if 3 kg cost $4.50.",
    "How is {} called in French, German and Italian?",
)
_TOPICS = """
tiramisu Leonardo Verdi Barcelona sauerkraut karaoke croissants Mozart tequila sushi Amazonia samba
flamenco Goethe Dostoevsky Kyoto Reykjavik Zaragoza Nantes Firenze pasta origami cats rivers
photosynthesis inflation chess bees glaciers democracy trigonometry volcanoes jazz football vaccines
whales honesty bicycles painting bread gravity poetry robots deserts tea
"""
TOPICS = _TOPICS.split()


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("errors") / "errors.csv"
    measure_detectors(
        **{name: SAMPLES / f"{name}.jsonl" for name in NAMES},
        errors=path,
        settings=MeasureDetectors(
            language_score=Funnel().language_score, model=Verbs().model, files=None
        ),
    )
    return path


def test_the_errors_stay_below_the_floors(errors: Path) -> None:
    with errors.open(newline="") as handle:
        rows = {row["detector"]: row for row in csv.DictReader(handle)}
    assert tuple(rows["verb"]) == COLUMNS
    assert set(rows) == set(FLOORS)
    for name, floor in FLOORS.items():
        found, right, labelled = (int(rows[name][key]) for key in ("found", "right", "labelled"))
        shares = right / found, right / labelled
        assert shares[0] >= floor[0], (name, shares)
        assert shares[1] >= floor[1], (name, shares)
        assert float(rows[name]["recall"]) == pytest.approx(100 * shares[1])
        low, high = (float(rows[name][f"recall_{end}"]) for end in ("low", "high"))
        assert 0 < low < 100 * shares[1] < high <= 100


def test_the_table_shows_shares_with_their_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = dict.fromkeys(COLUMNS, "") | {"detector": "non_answer", "rows": "9", "labelled": "4"}
    row |= {"found": "2", "right": "2", "precision": "100", "precision_low": "34.24"}
    row |= {"precision_high": "100", "recall": "50", "recall_low": "15", "recall_high": "85"}
    none = row | {"detector": "verb", "found": "0", "right": "0", "precision": ""}
    with open("errors.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows([row, none])
    first, second = made_table("detectors", {"errors": "errors.csv"}, {})[0]
    assert [*first.values()][0:1] + [*first.values()][-2:] == [
        "non answer",
        "100.0 (34.2 to 100.0)",
        "50.0 (15.0 to 85.0)",
    ]
    assert [*second.values()][-2] == "–"
    Path("funnel.csv").write_text("instruction_source,refused\nmix,3\n")
    params = {"title": "T", "notes": [], "digits": 1, "columns": []}
    inputs = {"analysis": "funnel.csv", "errors": "errors.csv"}
    text = made_table("funnel", inputs, params | {"detectors": {"non_answer": "non-answers"}})[1]
    assert "non-answers: precision 100.0 (34.2 to 100.0), recall 50.0 (15.0 to 85.0)." in text


@pytest.mark.parametrize("name", NAMES)
def test_each_sample_has_200_rows_and_none_twice(name: str) -> None:
    rows = list(read_jsonl(SAMPLES / f"{name}.jsonl"))
    text = "instruction" if "instruction" in rows[0] else "response"
    assert len(rows) >= 200
    assert len({row[text] for row in rows}) == len(rows)
    assert {row["half"] for row in rows} == {"written", "measured"}


def test_a_sample_without_labels_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sample.jsonl"
    write_jsonl(path, [{"response": "a", "half": "measured"}])
    with pytest.raises(LaminiError, match=r"sample.jsonl: each row needs `half` and refusal"):
        measured_rows(path, ["refusal", "response"])


def test_no_english_instruction_of_a_thousand_is_taken_for_another_language() -> None:
    detect = LanguageDetector(Funnel().language_score)
    pairs = pairwise(TOPICS)
    subjects = [*TOPICS, *(f"{first} and {second}" for first, second in pairs)]
    texts = [task.format(subject) for task, subject in product(TASKS, subjects)]
    rows = read_jsonl(SAMPLES / "languages.jsonl")
    texts += [row["instruction"] for row in rows if row["language"] == "english"]
    assert len(set(texts)) >= 1000
    assert [text for text in texts if detect(text) == "other"] == []
    for text in HOSTILE:
        detect(text)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Translate into English: Das Wetter ist heute schön und warm.", "english"),
        ("Traduce al español la frase: The weather is nice and warm today.", "other"),
        ("3^2 + 6 = ?", "undetermined"),
        ("Leonardo da Vinci", "undetermined"),
        ("", "undetermined"),
        ("写一首诗。", "other"),
        ("POUVEZ-VOUS M'EXPLIQUER COMMENT PRÉPARER UNE BONNE SOUPE ?", "other"),
    ],
)
def test_the_task_decides_the_language(text: str, language: str) -> None:
    assert LanguageDetector(0.5)(text) == language


def test_a_response_that_says_nothing_is_no_answer() -> None:
    for text in ("<nooutput>", "N/A", "No context given.", "Sorry, please provide the text."):
        assert is_non_answer(text), text
    for text in ("", "No", "None.", "Please provide your name.", "I cannot promote violence."):
        assert not is_non_answer(text), text


def test_a_text_that_ends_in_the_middle_is_unfinished() -> None:
    for text in ("It is the", "1. One\n2.", "He said (and", "|a|b|\n|-|-|\n|1|", "def f():\nx = ["):
        assert is_unfinished(text), text
    for text in ("", "A", "It is.", "1. One\n2. Two", "Rome, Paris", "print('x')", "Nice! :)"):
        assert not is_unfinished(text), text


def test_a_parser_reads_the_task_and_not_its_input() -> None:
    assert task_of("Edit this sentence.:She gone the store.") == "Edit this sentence."
    assert task_of("Name a verb\nThe dog ate the cake") == "Name a verb"
    assert task_of("Change it - Jack bought a car") == "Change it"
    assert task_of("Question: Who wrote it?") == "Who wrote it?"
    assert task_of("Review: I loved it.") == ""
    texts = ["List strategies for managing stress.", "Edit this sentence.:She gone the store."]
    texts += ["I want you to name a river.", "Sentiment: I love it.", "The capital of France"]
    assert verbs_and_nouns(load_parser(Verbs().model), texts) == [
        ("list", "strategy"),
        ("edit", "sentence"),
        ("name", "river"),
        ("", ""),
        ("", ""),
    ]
