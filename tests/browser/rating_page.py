"""One annotation page in headless Chromium, with the actions of an annotator."""

import contextlib
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PHONE = {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}

# Only the browser knows the background of each text, for contrast and overlap.
CONTRASTS = """
const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = channels(getComputedStyle(e).backgroundColor);
    if (colour[3] !== 0) return colour;
  }
  return [255, 255, 255];
};
return [...document.body.querySelectorAll("*")]
  .filter((e) => !["SCRIPT", "NOSCRIPT"].includes(e.tagName) && e.checkVisibility()
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => [light(channels(getComputedStyle(e).color)), light(ground(e)), e.outerHTML])
  .map(([a, b, html]) => [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), html.slice(0, 90)])
  .filter(([ratio]) => ratio < 4.5);
"""


def _need_browser() -> tuple[str, str]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if found and driver:
        return found, driver
    message = "NOT TESTED: these pages need a browser; apt-get install chromium chromium-driver"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@dataclass
class Page:
    """A browser with one page, with the actions of an annotator."""

    driver: webdriver.Chrome
    downloads: Path

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def text(self, identifier: str) -> str:
        return self.driver.find_element(By.ID, identifier).text

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def click(self, identifier: str) -> None:
        self.driver.find_element(By.ID, identifier).click()

    def rated(self) -> int:
        return int(self.text("counted").split(" of ")[0])

    def current(self) -> str:
        """The focused item: a key rates it."""
        article = self.driver.find_element(By.CSS_SELECTOR, "article.current")
        return (article.get_attribute("id") or "").removeprefix("item-")

    def downloaded(self) -> Path:
        """The file that was just exported."""

        def finished(_: object) -> Path | None:
            files = list(self.downloads.glob("*.json"))
            return max(files, key=lambda path: path.stat().st_mtime_ns) if files else None

        return WebDriverWait(self.driver, 20).until(finished)

    def import_file(self, path: Path) -> None:
        self.driver.find_element(By.ID, "file").send_keys(str(path))
        WebDriverWait(self.driver, 20).until(
            lambda _: path.name in self.text("said") + self.text("warning")
        )

    def go(self, url: str) -> None:
        """Open an address, and wait until its document and scripts are there.

        On a busy machine chromedriver can return while the page before is still shown.
        """
        self.driver.get(url)
        WebDriverWait(self.driver, 60).until(
            lambda driver: (
                self.run("return [location.href, document.readyState]") == [url, "complete"]
            )
        )

    def wait_for(self, identifier: str, text: str) -> None:
        """Wait until an element shows a text."""
        WebDriverWait(self.driver, 20).until(lambda _: text in self.text(identifier))


@contextlib.contextmanager
def page_opener(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens pages; a second call with the same `profile` restarts the same browser."""
    binary, driver = _need_browser()
    opened: list[webdriver.Chrome] = []

    def open_one(url: str, profile: str, phone: bool = False) -> Page:
        for other in opened:
            other.quit()
        opened.clear()
        downloads = tmp_path / f"{profile}-downloads"
        downloads.mkdir(exist_ok=True)
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--window-size=1200,900",
            f"--user-data-dir={tmp_path / profile}",
        ):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        if phone:
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": PHONE})
        chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        opened.append(chrome)
        page = Page(chrome, downloads)
        page.go(url)
        return page

    try:
        yield open_one
    finally:
        for chrome in opened:
            chrome.quit()


def axe_violations(page: Page) -> list[Any]:
    """Rules of axe-core that the page violates in its present state, with the elements."""
    file = importlib.metadata.distribution("axe-core-python").locate_file(
        "axe_core_python/axe.min.js"
    )
    page.run(Path(str(file)).read_text(encoding="utf-8"))
    page.driver.set_script_timeout(300)
    found: list[Any] = page.driver.execute_async_script(
        "axe.run(document).then((done) => arguments[0](done.violations.map((v) =>"
        " [v.id, ...v.nodes.map((node) => node.html.slice(0, 90))])))"
    )
    return found


def check_layout(page: Page, width: int) -> None:
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.run(CONTRASTS) == []
    for element in page.driver.find_elements(
        By.CSS_SELECTOR, "button, input, select, textarea, progress"
    ):
        assert not element.is_displayed() or element.accessible_name, element.get_attribute(
            "outerHTML"
        )
    for choice in page.driver.find_elements(By.CSS_SELECTOR, ".choices label, button"):
        size = choice.size
        assert not choice.is_displayed() or min(size["height"], size["width"]) >= 44
