"""The report in real headless Chromium: two widths, keys and pointer, dark, and print."""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from rating_page import CONTRASTS, Page, axe_violations, page_opener
from report_case import ANSWERED, FIGURES, HOSTILE, TABLES, ReportCase, edit_record
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from lamini.report.compare import write_comparison

MODELS, TASKS = 32, 15
CELLS = """
const cells = {};
for (const table of document.querySelectorAll("table.sortable"))
  [...table.rows].forEach((row, r) => [...row.cells].forEach((cell, c) => {
    cells[`${table.id} ${r} ${c}`] = cell.textContent.trim();
  }));
return cells;
"""
# The share of a canvas that is drawn on with more than the grid's few greys.
PAINTED = """
return [...document.querySelectorAll(".chart canvas")].map((canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    coloured += data[i + 3] > 0 && Math.max(r, g, b) - Math.min(r, g, b) > 40;
  }
  return coloured / (data.length / 4);
});
"""
# Texts of the big table that are cut off, smaller than can be read, or under another cell.
UNREADABLE = """
const table = document.getElementById("grid-scores");
return [...table.querySelectorAll("th, td")]
  .filter((cell) => cell.scrollWidth > cell.clientWidth + 1
    || parseFloat(getComputedStyle(cell).fontSize) < 11)
  .map((cell) => cell.outerHTML.slice(0, 80));
"""


@contextlib.contextmanager
def _made(folder: Path, *teacher: str) -> Iterator[ReportCase]:
    """A run with its report, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        clean = {"commit": "0" * 40, "date": "2026-01-01", "modified": False}
        patch.setattr("lamini.jobs.provenance.code_version", lambda: clean)
        made = ReportCase(*teacher)
        made.make_all()
        yield made


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportCase]:
    with _made(tmp_path_factory.mktemp("run")) as made:
        yield made


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    with page_opener(tmp_path) as opener:
        yield opener


def _open(open_page: Callable[..., Page], path: Path, width: int = 1280) -> Page:
    """The page at a window width; narrow windows emulate a phone."""
    page = open_page("about:blank", f"width-{width}", phone=width < 600)
    if width >= 600:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.go(path.as_uri())
    return page


def _requests(page: Page) -> list[str]:
    """URLs that the page requested, except the page itself and embedded data."""
    messages = [json.loads(e["message"])["message"] for e in page.driver.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    urls = [params["request"]["url"] for params in sent]
    own = ("data:", "file:///", "about:", "chrome:", "chrome-untrusted:")
    return [url for url in urls if not url.startswith(own)]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_width_shows_all(
    case: ReportCase, open_page: Callable[..., Page], width: int
) -> None:
    path = Path("results/report/index.html").absolute()
    assert path.stat().st_size < 5_000_000, "with the lineage of 480 scores"
    page = _open(open_page, path, width)
    painted = page.run(PAINTED)
    assert len(painted) == len(FIGURES) and min(painted) > 0.002, painted
    assert page.run("return [...document.images].every((i) => i.complete && i.naturalWidth > 99)")
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.run(UNREADABLE) == []
    assert page.run(CONTRASTS) == []
    rows = page.run("return document.querySelectorAll('#grid-scores tbody tr.ours').length")
    columns = page.run("return document.querySelectorAll('#grid-scores thead th').length")
    assert (rows, columns) == (MODELS, 3 + TASKS + 1)
    name, last = page.run(
        "const box = document.querySelector('#table-scores .scroll'); box.scrollLeft = 9999;"
        "const row = box.querySelector('tbody tr');"
        "box.scrollIntoView(); box.scrollTop = 200;"
        "return [row.cells[0], row.cells[row.cells.length - 1]].map((c) =>"
        " [c.getBoundingClientRect().left, c.getBoundingClientRect().right])"
    )
    assert 0 <= name[0] < name[1] < last[0] < last[1] <= width, "the name stays beside the last"
    assert page.run("return window.hacked") is None
    assert page.driver.get_log("browser") == []
    assert _requests(page) == []


SIZES = """
return [...document.querySelectorAll("#grid-scores tbody tr")]
  .map((row) => row.cells[1].textContent);
"""


def _averages(case: ReportCase) -> dict[str, float]:
    """Average of each model, from the evaluation's own files."""
    return {
        model: fmean(
            json.loads(path.read_text())["score"]
            for path in Path(f"results/evals/{model}").glob("*.json")
        )
        for model in case.flow.evaluated_models
    }


def test_the_report_opens_with_the_result(case: ReportCase, open_page: Callable[..., Page]) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    models, means = case.flow.config.models, _averages(case)
    students = case.flow.config.students
    gains = [means[s] - means[models[s].initialization or ""] for s in students]
    mean = fmean(means[student] for student in students)
    tiles = page.run(
        "return [...document.querySelectorAll('.tile strong')].map((t) => t.textContent)"
    )
    assert tiles == [
        f"{mean:.1f}",
        f"{fmean(gains):+.1f}",
        f"{mean - means['llama-7b']:+.1f}",
        f"{mean - means['alpaca-7b']:+.1f}",
        "US$ 6.00",
        "6.0",
    ]
    better = f"{sum(gain > 0 for gain in gains)} of {len(gains)} better than their base"
    assert better in page.run("return document.querySelector('.tiles').textContent")
    bottom = "return document.querySelector('.tiles').getBoundingClientRect().bottom"
    assert page.run(bottom) < 900, "on the first screen"
    best = page.run(
        "return [...document.querySelectorAll('table.small tbody tr')].map((row) =>"
        " [...row.cells].map((cell) => cell.textContent))"
    )
    small = [s for s in students if models[s].parameters < 100_000_000]
    first = max(small, key=lambda student: means[student])
    gain = means[first] - means[models[first].initialization or ""]
    assert best[0] == ["under 100M", models[first].name, f"{means[first]:.1f}", f"{gain:+.1f}"]
    assert len(best) == 4

    # Sizes sort by parameters, not by their first digit.
    heading = page.driver.find_element(By.CSS_SELECTOR, "#grid-scores th:nth-child(2) button")
    heading.send_keys(Keys.ENTER)
    ordered = page.run(SIZES)
    units = {"M": 1e6, "B": 1e9}
    numbers = [float(size[:-1]) * units[size[-1]] for size in ordered]
    assert numbers == sorted(numbers) and len(numbers) == 3 * MODELS

    # A search over all tables: the words must be in one row. A hit leads to its rows.
    field = page.driver.find_element(By.CSS_SELECTOR, "#find-all input")
    field.send_keys("wic lamini-neo-125m")
    listed = "return [...document.querySelectorAll('#listed li')].filter((i) => !i.hidden)"
    listed += ".map((item) => item.textContent.trim())"
    assert [text.rpartition(". ")[2] for text in page.run(listed)] == ["1 row", "1 row"]
    hit = page.driver.find_element(
        By.CSS_SELECTOR, "#listed a[href='#table-reproduced_improvement']"
    )
    hit.click()
    block = page.driver.find_element(By.ID, "table-reproduced_improvement")
    assert block.find_element(By.TAG_NAME, "output").text == "1 of 225 rows"

    # The address of a task opens it.
    page.go(Path("results/report/index.html").absolute().as_uri() + "#task-rte")
    task = page.driver.find_element(By.ID, "task-rte")
    assert task.get_attribute("open") and task.find_element(By.TAG_NAME, "table").is_displayed()
    assert len(task.find_elements(By.CSS_SELECTOR, "tbody tr")) == MODELS
    assert "Without the 5 contaminated examples the mean is" in task.text
    links = page.run(
        "return [...document.querySelectorAll('a[href^=\"../\"]')]"
        ".map((a) => a.getAttribute('href'))"
    )
    assert len(set(links)) == 3 * len({*TABLES}) + 3 * len(FIGURES) + MODELS * TASKS
    assert all((Path("results/report") / link).is_file() for link in links)
    copy = page.driver.find_element(By.CSS_SELECTOR, "#table-averages .copy")
    copied = (
        "navigator.clipboard.writeText = (text) => { window.copied = text; }; arguments[0].click();"
    )
    page.run(copied, copy)
    lines = page.run("return window.copied").splitlines()
    assert len(lines) == 1 + MODELS and lines[0].startswith(
        "Model\tModels\tParameters, M\tAverage\t"
    )
    page.run(
        "for (const e of document.querySelectorAll('main > section:not(#overview, #evaluation),"
        " #evaluation .block:not(#table-averages, #task-rte), :is(tr, li):nth-child(n+4)'))"
        " e.remove();"
    )
    assert axe_violations(page) == []


def test_answers_of_all_models_stand_side_by_side(
    case: ReportCase, open_page: Callable[..., Page]
) -> None:
    path = Path("results/report/answers.html").absolute()
    assert path.stat().st_size < 5_000_000, "with 2,166 answers of 250 words"
    page = _open(open_page, path)
    names = [model.name for model in case.catalogue.report_params().rated]
    heads = "return [...document.querySelectorAll('.answer h3')].map((h) => h.textContent)"
    assert page.run(heads) == names and len(names) == 19
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "#instructions li")) == ANSWERED
    assert page.driver.find_element(By.CSS_SELECTOR, ".answer .text").text.startswith(HOSTILE)
    assert page.text("found") == "114 of 114 instructions"
    assert page.run(CONTRASTS) == []
    assert axe_violations(page) == []
    page.driver.find_element(By.ID, "find").send_keys("113 LAMINI-t5-738m")
    assert page.text("found") == "1 of 114 instructions"
    assert page.text("instruction") == "Instruction 113."
    assert page.text("kind") == "114 of 114: Mail"
    assert {mark.text.lower() for mark in page.driver.find_elements(By.TAG_NAME, "mark")} == {
        "113",
        "lamini-t5-738m",
    }
    page.driver.find_element(By.ID, "shown").send_keys("reference")
    roles = [case.flow.config.models[m].role for m in case.catalogue.rated_models]
    assert len(page.run(heads)) == roles.count("reference")
    page.go("about:blank")
    page.go(f"{path.as_uri()}#user_7")
    assert page.text("instruction") == "Instruction 7."
    page.click("next")
    page.wait_for("kind", "9 of 114: Mail")  # the browser tells the page of the address later
    assert page.run("return location.hash") == "#user_8"
    assert page.run("return window.hacked") is None
    assert page.driver.get_log("browser") == []
    assert _requests(page) == []


def test_two_runs_are_compared(case: ReportCase, open_page: Callable[..., Page]) -> None:
    other = Path("other/results/tables")
    other.mkdir(parents=True)
    for name in ("averages", "cost"):
        text = Path(f"results/tables/table_{name}.json").read_text()
        (other / f"table_{name}.json").write_text(text)
    changed = json.loads((other / "table_averages.json").read_text())
    changed["rows"][0][3] |= {"value": changed["rows"][0][3]["value"] + 1, "text": "B"}
    (other / "table_averages.json").write_text(json.dumps(changed))
    write_comparison(Path("results"), other.parent, Path("compare.html"))
    page = _open(open_page, Path("compare.html").absolute())
    block = page.driver.find_element(By.ID, "table-averages")
    shown = "return [...arguments[0].querySelectorAll('tbody tr')].filter((r) =>"
    shown += " r.checkVisibility()).map((r) => r.cells[3].textContent)"
    before = changed["rows"][0][3]["value"] - 1
    assert page.run(shown, block) == [f"{before:.1f} → B +1.0"]
    page.click("only")
    assert len(page.run(shown, block)) == MODELS
    page.run(
        "for (const e of document.querySelectorAll('#dataset, #human, #evaluation .block:not("
        "#table-averages), :is(tr, li):nth-child(n+4)')) e.remove();"
    )
    assert page.run(CONTRASTS) == [] and axe_violations(page) == []
    assert _requests(page) == [] and page.driver.get_log("browser") == []


def test_the_count_of_scores_within_has_yardsticks(
    case: ReportCase, open_page: Callable[..., Page]
) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    said = " ".join(page.run("return document.getElementById('overview').textContent").split())
    assert "of 225 published scores of students lie within our 95 % intervals" in said
    assert "if nothing had been trained, 114 would (51 %); with another student" in said
    assert "in place of the right one, 32 %." in said
    assert "published improvements over the initialisation match ours" in said
    assert "of 255 published scores of reference models lie within" in said


def test_a_replication_shows_differences_and_no_verdict(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    with _made(tmp_path, "Some-Model@0123") as case:
        assert case.catalogue.another_teacher == "Some-Model@0123"
        page = _open(open_page, Path("results/report/index.html").absolute())
        said = " ".join(page.run("return document.getElementById('overview').textContent").split())
    assert "A replication: the teacher is Some-Model@0123, not the paper's gpt-3.5-turbo." in said
    assert "No verdict on the students: another teacher. 225 scores differ from the" in said
    assert "scores of students lie within" not in said
    assert "improvements over the initialisation match" not in said
    assert "Match: the interval" not in said and "-0.0" not in said
    assert "of 255 published scores of reference models lie within" in said


def test_tables_sort_and_filter_by_keys(case: ReportCase, open_page: Callable[..., Page]) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    block = page.driver.find_element(By.ID, "table-scores")
    heading = block.find_element(By.CSS_SELECTOR, "thead th:nth-child(4) button")
    value = "return [...document.querySelectorAll('#grid-scores tbody tr')].filter((r) =>"
    value += " !r.hidden).map((r) => Number(r.cells[3].dataset.value))"
    for order, reverse in (("ascending", False), ("descending", True)):
        heading.send_keys(Keys.ENTER)
        sorted_by = block.find_element(By.CSS_SELECTOR, "thead th:nth-child(4)")
        assert sorted_by.get_attribute("aria-sort") == order
        assert len(block.find_elements(By.CSS_SELECTOR, "[aria-sort]")) == 1
        values = page.run(value)
        assert values == sorted(values, reverse=reverse) and len(values) == 3 * MODELS
    choice = block.find_elements(By.CSS_SELECTOR, "select")[-1]
    assert choice.accessible_name.startswith("Score")
    choice.send_keys("difference")
    search = block.find_element(By.CSS_SELECTOR, "input[type=search]")
    search.send_keys("lamini t5")
    assert block.find_element(By.TAG_NAME, "output").text == "6 of 96 rows"
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys(Keys.DELETE)
    assert block.find_element(By.TAG_NAME, "output").text == f"{MODELS} of 96 rows"
    block.find_element(By.CLASS_NAME, "show-intervals").send_keys(Keys.SPACE)
    shown = block.find_element(By.CSS_SELECTOR, "tr:not([hidden]) .interval")
    assert shown.is_displayed() and " to " in shown.text


def test_a_page_has_what_screen_readers_need(
    case: ReportCase, open_page: Callable[..., Page]
) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    levels = page.run("return [...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for selector in ("main", "nav[aria-label]", "header", "html[lang=en]"):
        assert page.driver.find_elements(By.CSS_SELECTOR, selector), selector
    assert page.run(
        "return [...document.querySelectorAll('table')].every((t) => t.caption"
        " && [...t.tHead.rows[0].cells].every((c) => c.scope === 'col'))"
    )
    assert page.run("return [...document.images].every((i) => i.alt.length > 20)")
    ids = page.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    links = page.run("return [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.hash)")
    assert {link.removeprefix("#") for link in links} <= set(ids)
    for element in page.driver.find_elements(By.CSS_SELECTOR, "button, input, select"):
        assert not element.is_displayed() or element.accessible_name
    page.press(Keys.TAB)
    assert page.run("return document.activeElement.className") == "skip"


def test_pointing_at_a_dot_shows_its_instruction_as_text(
    case: ReportCase, open_page: Callable[..., Page]
) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    chart = page.driver.find_element(By.CSS_SELECTOR, "[data-chart='3']")
    page.run("arguments[0].scrollIntoView({block: 'center'})", chart)
    x, y = page.run(
        "const chart = echarts.getInstanceByDom(arguments[0]);"
        "const series = chart.getOption().series[0];"
        "return chart.convertToPixel({seriesIndex: 0}, series.data[0])",
        chart,
    )
    middle = (chart.size["width"] / 2, chart.size["height"] / 2)
    pointer = ActionChains(page.driver)
    pointer.move_to_element_with_offset(chart, x - middle[0], y - middle[1]).perform()
    tip = WebDriverWait(page.driver, 10).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, "[data-chart='3'] .tip")
    )
    assert "<img src=x onerror=" in tip.text
    assert page.run("return window.hacked") is None
    legend = page.driver.find_element(By.CSS_SELECTOR, "#figure-3 .legend button")
    assert legend.text.replace("\n", "") == "X\u0302SI self instruct without topic"
    assert legend.find_element(By.TAG_NAME, "sub").text == "SI"
    names = page.run(
        "return [...document.querySelectorAll('#figure-5 .legend button, #figure-learning_curves"
        " .legend button')].map((b) => b.textContent)"
    )
    assert len(names) == len(set(names)) == 5 + 15, "a name per family, and one per student"
    before = page.run(PAINTED)[0]
    legend.send_keys(Keys.ENTER)
    assert legend.get_attribute("aria-pressed") == "false"
    WebDriverWait(page.driver, 10).until(lambda _: page.run(PAINTED)[0] < 0.9 * before)


def test_dark_and_print(case: ReportCase, open_page: Callable[..., Page]) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
    assert page.run(CONTRASTS) == []
    assert min(page.run(PAINTED)) > 0.002
    printed = {"preferCSSPageSize": True, "printBackground": True}
    pdf = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", printed)["data"])
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Subtype /Image") >= len(FIGURES)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = "return [...document.querySelectorAll(arguments[0])].filter((e) =>"
    shown += " e.checkVisibility()).length"
    assert page.run(shown, "nav, .tools, .chart, .legend, details") == 0
    assert page.run(shown, "figure img") == len(FIGURES)


def test_an_edited_number_changes_only_its_cell(
    case: ReportCase, open_page: Callable[..., Page]
) -> None:
    page = _open(open_page, Path("results/report/index.html").absolute())
    before: dict[str, Any] = page.run(CELLS)
    path = case.analysis / "statistics.csv"
    kept = path.read_text()
    assert kept.count(",1014,") == len(case.flow.config.sources)
    try:
        path.write_text(kept.replace(",1014,", ",77.25,", 1))
        case.table("01")
        edited = case.report("edited")
    finally:
        path.write_text(kept)
        case.table("01")
    page.go(edited.as_uri())
    after = page.run(CELLS)
    assert before.keys() == after.keys()
    changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert changed == {"grid-01 1 6": ("1,014.00", "77.25")}
    assert (
        "Changed since"
        in page.driver.find_element(By.ID, "marks")
        .find_element(By.XPATH, "following-sibling::ul")
        .text
    )


def test_a_number_leads_to_its_making_in_two_clicks(
    case: ReportCase, open_page: Callable[..., Page]
) -> None:
    artifact = "results/evals/t5-small/rte.json"
    code = {"commit": "1" * 40, "date": "2026-01-01", "modified": True}
    edit_record(artifact, {"code": code, "settings": {"version": 2}})
    page = _open(open_page, case.report("marked"))
    block = page.driver.find_element(By.ID, "table-scores")
    fold = block.find_element(By.CSS_SELECTOR, ".making > summary")
    assert "2 marks" in fold.text
    fold.click()
    said = block.find_element(By.CSS_SELECTOR, ".making .warning").text
    assert "Dirty checkout: 1 artifact was made" in said
    assert "Mixed stage versions: evaluate_model ran with versions 1 and 2" in said
    block.find_element(By.PARTIAL_LINK_TEXT, artifact).click()
    entry = page.driver.find_element(By.ID, "of-evals-t5-small-rte.json")
    WebDriverWait(page.driver, 10).until(lambda _: entry.is_displayed())
    assert len(entry.find_element(By.CLASS_NAME, "hash").text) == 64
    entry.find_element(By.PARTIAL_LINK_TEXT, "code").click()
    assert "1" * 40 in page.driver.find_element(By.CSS_SELECTOR, ":target").text
    assert "uncommitted changes" in page.driver.find_element(By.CSS_SELECTOR, ":target").text
    clean = page.driver.find_element(By.CSS_SELECTOR, "#table-01 .making > summary")
    assert "2 marks" not in clean.text
