"""Pages in a real browser: Debian's Chromium, driven by Playwright. Without it these tests skip."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from leakboard.report.page import Board, render

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


class Opened:
    """A page that is open, and all that should not have happened there."""

    def __init__(self, page: Any, file: Path) -> None:
        self.page, self.file = page, file
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.said.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, hash_: str = "") -> Opened:
        """Load the page anew and wait until its first table can be used."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.file.as_uri()}{hash_}")
        if self.page.evaluate("typeof matchMedia") == "function":
            self.until("performance.getEntriesByName('leakboard:ready').length > 0")
        return self

    def until(self, expression: str, seconds: float = 60) -> None:
        """Wait for an expression to hold; the page itself may evaluate none."""
        end = monotonic() + seconds
        while not self.page.evaluate(expression):
            assert monotonic() < end, f"never: {expression}"
            self.page.wait_for_timeout(20)

    def see(self, selector: str) -> Any:
        """The first element of this selector, scrolled into view, all that is near it drawn."""
        found = self.page.locator(selector).first
        found.scroll_into_view_if_needed()
        return found

    def everything(self) -> None:
        """Scroll from top to bottom, so that all that waits to be seen is built and drawn."""
        height = self.page.evaluate("document.documentElement.scrollHeight")
        for y in range(0, height + 4000, 600):
            self.page.evaluate(f"scrollTo(0, {y})")
            self.page.wait_for_timeout(40)
        charts = "[...document.querySelectorAll('.open .chart')]"
        self.until(f"{charts}.every(chart => chart.childNodes.length)")
        self.page.wait_for_timeout(200)

    def wrong(self) -> list[str]:
        """Everything said on the console, every forbidden thing tried, every request made."""
        start = (self.file.as_uri(), "data:", "blob:", "about:")
        asked = [url for url in self.asked if not url.startswith(start)]
        return [*self.said, *asked, *self.page.evaluate("window.violations")]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; without Playwright or Chromium, the tests that need it skip and say why."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"THE PAGE IS NOT TESTED: none of {', '.join(NAMES)} is installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        pytest.skip(f"THE PAGE IS NOT TESTED: {error}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a page of boards, or a finished page, in a window of its own."""
    windows = []

    def opened(what: list[Board] | str, hash_: str = "", **how: Any) -> Opened:
        file = tmp_path / "leaderboard.html"
        file.write_text(what if isinstance(what, str) else render(what), encoding="utf-8")
        how = {"viewport": {"width": 1400, "height": 1000}, "reduced_motion": "reduce", **how}
        windows.append(chromium.new_context(**how))
        windows[-1].add_init_script(WATCH)
        found = Opened(windows[-1].new_page(), file)
        if how.get("java_script_enabled", True):
            return found.open(hash_)
        found.page.goto(f"{file.as_uri()}{hash_}")
        return found

    yield opened
    for window in windows:
        window.close()
