"""A whole study of the demo, rated in real headless Chromium: by keys, then on a phone by touch.

Needs Debian's `chromium` and `chromium-driver` (`.ci/run` installs them). Without them the tests
are skipped on a person's machine, and fail where `CI` is set.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rating_page import PHONE, Page, axe_violations, check_layout, page_opener
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lamini.files import read_json, read_jsonl, write_jsonl
from lamini.human_evaluation.collection import collect_ratings
from lamini.human_evaluation.items import Item, make_item, read_items
from lamini.human_evaluation.rating_files import read_ratings
from lamini.human_evaluation.rating_protocols import PAPER, SKIP_REASONS
from lamini.human_evaluation.selection import select_items
from lamini.human_evaluation.sheets import make_rating_sheets, sheet
from lamini.settings.params.human_evaluation import CollectRatings, MakeRatingSheets
from lamini.workflow import Workflow

ROOT = Path(__file__).parents[2]
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>",
    '</script><script>window.hacked = 3</script><!-- <b style="position:fixed">bold</b>',
    "\u202eThis runs to the left\u202c, \u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd! (1)",
    "no_spaces_" * 300,
    "A very long answer of many words. " * 2000,
    "",
    "\u0000\u2028 `${window.hacked = 4}` &lt;b&gt; \\u003c \t tabs\r\nand lines\n\n\n.",
)


@dataclass
class Study:
    """A study of the demo with answers made for this test, and its pages."""

    folder: Path
    items: list[Item]
    settings: CollectRatings

    def page(self, annotator: str) -> str:
        return (self.folder / f"sheets/{annotator}.html").as_uri()

    def own(self, annotator: str) -> list[Item]:
        return [item for item in self.items if annotator in item.annotators]

    def collect(self, *files: Path) -> dict[str, Any]:
        summary = self.folder / "summary.json"
        collect_ratings(
            rated=self.folder / "items.jsonl",
            key=self.folder / "key.json",
            verdicts=[],
            rating_files=files,
            ratings=self.folder / "ratings.csv",
            summary=summary,
            settings=self.settings,
        )
        return read_json(summary)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The demo's study of models: 12 instructions, 4 models, 2 annotators."""
    folder = tmp_path_factory.mktemp("study")
    config: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks", "demo"):
        _overlay(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "config").symlink_to(ROOT / "config")
        flow = Workflow(config)
        settings = flow.study_params("models")
        instructions = list(read_jsonl(flow.config.answers.instructions))
        answers = []
        for number, model in enumerate(settings.models):
            rows = [
                {
                    "id": row["id"],
                    "motivation_app": row["motivation_app"],
                    "instruction": row["instruction"],
                    "response": _answer(row, number + n),
                }
                for n, row in enumerate(instructions)
            ]
            write_jsonl(f"{model}.jsonl", rows)
            answers.append(f"{model}.jsonl")
        select_items(
            answers=[Path(path) for path in answers],
            exclude=[Path(settings.exclude)],
            dataset=[],
            rated="items.jsonl",
            key="key.json",
            funnel="funnel.json",
            settings=settings,
        )
        sheets = [f"sheets/{Path(path).name}" for path in flow.rating_sheets("models")]
        make_rating_sheets(rated="items.jsonl", sheets=sheets, settings=flow.sheet_params("models"))
        yield Study(folder, read_items("items.jsonl"), flow.rating_params("models"))


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens pages in a browser that is closed after the test."""
    with page_opener(tmp_path) as opener:
        yield opener


def _overlay(base: dict[str, Any], changes: dict[str, Any]) -> None:
    """Merge two configurations, as Snakemake merges configuration files."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _overlay(base[key], value)
        else:
            base[key] = value


def _answer(row: dict[str, Any], number: int) -> str:
    honest = row["instances"][0]["output"]
    return honest if number % 3 == 0 else HOSTILE[number % len(HOSTILE)]


def level(item: str) -> str:
    """The rating that this test gives to an item."""
    return "ABCD"[hashlib.sha256(item.encode()).digest()[0] % 4]


def rate_by_keys(page: Page, stop_at: int) -> None:
    """Rate with the keyboard until the given number of texts is rated."""
    while page.rated() < stop_at:
        before, item = page.rated(), page.current()
        page.press(level(item).lower())
        if page.rated() == before:  # It was out of sight, and is marked now.
            page.press(level(item).lower())
        assert page.rated() == before + 1
        if "All texts here are rated" in page.text("said"):
            page.press(Keys.ENTER)


def check_shown_as_text(page: Page, items: list[Item]) -> None:
    """All texts are on the page as text; none was interpreted as HTML or script."""
    texts = {item.item: item.text for item in items}
    shown = page.run(
        "return [...document.querySelectorAll('article')].map((a) =>"
        " [a.id.slice(5), a.querySelector('.text').textContent,"
        "  a.querySelector('.text').childElementCount])"
    )
    for item, text, elements in shown:
        assert elements == 0
        assert text == (texts[item] if texts[item].strip() else "(an empty text)")
    assert page.run("return window.hacked") is None
    assert (
        page.run("return document.images.length + document.querySelectorAll('b[style]').length")
        == 0
    )


def test_a_study_is_rated_by_keys_across_a_restart(
    study: Study, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    own = study.own("annotator_1")
    page = open_page(study.page("annotator_1"), "first")
    page.press("b")
    assert page.rated() == 0, "a key does not rate while the help is open"
    page.press("h")
    check_layout(page, 1200)
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    page.press("b")
    assert page.rated() == 0, "a key does not rate an item outside the window"
    rate_by_keys(page, 3)
    check_shown_as_text(page, own)

    commented = page.current()
    page.press("m", "Bad facts & a <b>tag</b>, abcd", Keys.ESCAPE)
    assert page.rated() == 3, "letters in a comment are no ratings"
    rate_by_keys(page, 6)
    page.press("u")
    assert page.rated() == 5 and page.text("said") == "Taken back."
    undone = page.current()
    page.press("e")
    early = read_json(page.downloaded())
    assert undone not in {row["item"] for row in early["ratings"] if row["rating"]}

    page.press("m", "half a thought")
    page.wait_for("said", "comment kept")

    page = open_page(study.page("annotator_1"), "first")
    assert page.rated() == 5, "ratings are kept when the browser is closed"
    article = page.driver.find_element(By.CSS_SELECTOR, "article.current textarea")
    assert article.get_attribute("value") == "half a thought", "also while the comment is edited"
    assert "Welcome back: 5 ratings" in page.text("said") and page.current() == undone
    rate_by_keys(page, len(own))
    assert page.run("return document.activeElement.id") == "export"
    for file in page.downloads.glob("*.json"):
        file.unlink()
    page.press(Keys.ENTER)
    exported = page.downloaded()
    assert re.fullmatch(r"models_annotator_1_\d{8}T\d{4}\.json", exported.name)
    rows = {row["item"]: row for row in read_json(exported)["ratings"]}
    assert {item: row["rating"] for item, row in rows.items()} == {
        i.item: level(i.item) for i in own
    }
    assert rows[commented]["comment"] == "Bad facts & a <b>tag</b>, abcd"
    assert page.driver.get_log("browser") == []

    summary = study.collect(exported)
    assert summary["rated"]["human"] == len(own) and not summary["complete"]
    kept = tmp_path / "kept.json"
    shutil.copy(exported, kept)
    page = open_page(study.page("annotator_1"), "another")
    assert page.rated() == 0
    page.import_file(kept)
    assert page.rated() == len(own) and f"Imported {len(own)} ratings" in page.text("said")
    page.press("h")
    page.press("u")
    assert page.rated() == 0, "undo reverts an import in one step"


def test_imports_that_do_not_fit_are_refused(
    study: Study, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(study.page("annotator_1"), "first")
    item, other = study.own("annotator_1")[:2]
    good = {"format": "lamini-ratings/1", "study": "models", "annotator": "annotator_1"}
    ratings = [
        {"item": item.item, "digest": item.digest, "rating": "C", "comment": ""},
        {"item": other.item, "digest": "of an older text", "rating": "C", "comment": ""},
        {"item": "<img src=x onerror=hacked=1>", "digest": "", "rating": "A"},
    ]
    for name, content, message in (
        ("text", "not JSON", "it is not JSON"),
        ("list", "[]", "no export of a rating sheet"),
        ("study", json.dumps(good | {"study": "<b>x</b>", "ratings": []}), "study <b>x</b>."),
        ("person", json.dumps(good | {"annotator": "annotator_2", "ratings": []}), "annotator_2"),
    ):
        path = tmp_path / f"{name}.json"
        path.write_text(content)
        page.import_file(path)
        assert message in page.text("warning") and page.rated() == 0
    path = tmp_path / "partly.json"
    path.write_text(json.dumps(good | {"ratings": ratings}))
    page.import_file(path)
    assert page.rated() == 1 and "2 belong to no text of this page" in page.text("said")
    assert not page.driver.find_element(By.ID, "warning").is_displayed()


def test_a_study_is_rated_on_a_phone_and_completes(
    study: Study, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    own = study.own("annotator_2")
    page = open_page(study.page("annotator_2"), "phone", phone=True)
    page.click("close-help")
    while True:
        check_layout(page, PHONE["width"])
        check_shown_as_text(page, own)
        for article in page.driver.find_elements(By.TAG_NAME, "article"):
            item = (article.get_attribute("id") or "").removeprefix("item-")
            choice = article.find_element(By.CSS_SELECTOR, f".level-{level(item)} input")
            page.run("arguments[0].scrollIntoView({block: 'center'})", choice)
            choice.click()
        if page.rated() == len(own):
            break
        page.click("open")
    page.click("export")
    text = page.driver.find_element(By.ID, "exported").get_attribute("value") or ""
    assert page.downloaded().read_text() == text, "the copied text equals the exported file"
    assert page.driver.get_log("browser") == []

    first = tmp_path / "annotator_1.json"
    rows = [
        {"item": i.item, "digest": i.digest, "rating": level(i.item)}
        for i in study.own("annotator_1")
    ]
    first.write_text(json.dumps(json.loads(text) | {"annotator": "annotator_1", "ratings": rows}))
    summary = study.collect(first, page.downloaded())
    assert summary["complete"] and summary["rated"] == {"human": len(study.items), "machine": 0}


# Whether the instruction and the scale of the marked text are in sight, below the header and not
# covered by each other, wherever one is in the text.
IN_SIGHT = """
const box = (element) => element.getBoundingClientRect();
const article = document.querySelector("article.current");
const [header, asked] = ["#header", "#asked"].map((name) => box(document.querySelector(name)));
const [scale, text] = ["fieldset", ".text"].map((name) => box(article.querySelector(name)));
const hidden = asked.right <= text.left ? 0 : asked.bottom;
return [
  asked.top >= header.bottom - 1, asked.bottom <= innerHeight, asked.height > 60,
  scale.top >= header.bottom, scale.bottom <= innerHeight + 1,
  asked.right <= scale.left || asked.bottom <= scale.top,
  Math.min(text.bottom, scale.top) - Math.max(text.top, hidden) > 60,
  [...article.querySelectorAll(".gist, .criterion")].some((e) => e.checkVisibility()),
];
"""


@pytest.mark.parametrize(("width", "height", "phone"), [(1280, 900, False), (390, 844, True)])
def test_instruction_and_scale_stay_in_sight_at_the_papers_size(
    open_page: Callable[..., Page], tmp_path: Path, width: int, height: int, phone: bool
) -> None:
    answer = "water policy towns remote " * 50
    items = [
        replace(
            make_item(
                study="models",
                seed=1,
                group=f"g{number // 19}",
                subject=f"m{number}",
                part="response",
                instruction="Write an e-mail that asks for an interview. " * 8,
                text=answer,
            ),
            annotators=("annotator_1",),
        )
        for number in range(2 * 19)
    ]
    settings = MakeRatingSheets(study="models", kind="models", protocol="paper", version=1)
    file = tmp_path / "sheet.html"
    file.write_text(sheet(items, "annotator_1", settings))
    page = open_page(file.as_uri(), "size", phone=phone)
    if not phone:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert page.run("return [innerWidth, innerHeight]") == [width, height]
    assert axe_violations(page) == []
    page.click("close-help")
    for number in (0, 14, 18):
        page.run("state.item = groups[0].items[arguments[0]].item; focusItem()", number)
        for scrolled in (0, 150, 150):
            page.run("window.scrollBy(0, arguments[0])", scrolled if phone else scrolled / 3)
            assert page.run(IN_SIGHT) == [True] * 8, (number, scrolled)
    assert axe_violations(page) == []
    scale = page.run("return study.scale.map((level) => level.criterion)")
    assert scale == [level.criterion for level in PAPER.levels]


def test_nothing_is_lost_in_silence(
    study: Study, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(study.page("annotator_1"), "loss")
    page.click("close-help")
    first, second, third = study.own("annotator_1")[:3]
    asks = "return !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert not page.run(asks)
    for key in "ab":
        page.press(key)
        page.press("k") if page.current() != first.item else None
    page.run("state.seconds[arguments[0]] = 400", first.item)
    page.run("skip(arguments[0], study.reasons[1])", second.item)
    page.run("rate(arguments[0], 'C', false); withdraw(arguments[0])", third.item)
    assert page.run(asks), "leaving with ratings that no file has"
    assert "1 skipped" in page.text("counted")
    page.run("state.unexported = 40; update()")
    assert page.text("reminder").startswith("40 changes since the last export")
    assert axe_violations(page) == []
    page.press("e")
    exported = read_json(page.downloaded())
    assert not page.run(asks) and not page.driver.find_element(By.ID, "reminder").is_displayed()
    assert (exported["format"], exported["protocol"]) == ("lamini-ratings/2", "own/1")
    assert exported["page"] == page.run("return study.digest")
    rows = {row["item"]: row for row in exported["ratings"]}
    assert rows[first.item]["rating"] == "B" and 400 <= rows[first.item]["seconds"] < 700
    assert rows[second.item]["skipped"] == SKIP_REASONS[1] and rows[second.item]["rating"] is None
    assert rows[third.item]["rating"] is None and rows[third.item]["time"] <= exported["exported"]
    found = read_ratings([page.downloaded()], study.items, study.settings)
    assert [rating.rating for rating in found] == ["B", "", ""]

    # An older file never replaces a newer rating without a question, a newer one does.
    old = json.loads(json.dumps(exported))
    for row in old["ratings"]:
        row |= {"rating": "D", "skipped": None, "time": "2020-01-01T00:00:00.000Z"}
    path = tmp_path / "old.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(old).encode())
    page.driver.find_element(By.ID, "file").send_keys(str(path))
    page.wait_for("older-said", "3 ratings or comments here differ")
    assert axe_violations(page) == []
    page.click("older-keep")
    page.wait_for("said", "3 newer ratings were kept")
    page.driver.find_element(By.ID, "file").send_keys(str(path))
    page.wait_for("older-said", "3 ratings or comments here differ")
    page.click("older-use")
    page.wait_for("said", "Imported 3 ratings from old.json")
    assert page.rated() == 3
    for row in old["ratings"]:
        row |= {"rating": "A", "time": "2099-01-01T00:00:00.000Z"}
    path.write_text(json.dumps(old))
    page.import_file(path)
    assert page.run("return Object.values(state.ratings).map((r) => r.rating)") == ["A"] * 3
    page.import_file(path)
    assert "Imported 0 ratings from old.json; 3 were here already" in page.text("said")
    assert page.driver.get_log("browser") == []


def test_pages_have_no_key_and_load_no_files(study: Study) -> None:
    key = read_json(study.folder / "key.json")
    subjects = {entry["subject"] for entry in key.values()}
    for annotator in ("annotator_1", "annotator_2"):
        html = (study.folder / f"sheets/{annotator}.html").read_text()
        assert not [subject for subject in subjects if subject in html]
        assert "default-src 'none'" in html and "http://" not in html and "https://" not in html
        shown = {item.item for item in study.own(annotator)}
        assert all((name in html) == (name in shown) for name in key)
