"""How large the page is and how fast it opens: python benchmarks/page.py [defenses attacks tracks]

Needs Chromium and Playwright (`pip install -e '.[dev]'`).
"""

import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from boards import board
from leakboard.report.page import render

ROUNDS = 9
MARKS = {  # what of it is waited for -> where its time stands
    "text to read": "performance.getEntriesByName('first-contentful-paint')[0]?.startTime",
    "table to use": "performance.getEntriesByName('leakboard:ready')[0]?.startTime",
}


def main(defenses: int = 50, attacks: int = 20, tracks: int = 5) -> None:
    large = board(defenses=defenses, attacks=attacks, shown=1)
    start = perf_counter()
    html = render([replace(large, track=f"track-{i}") for i in range(tracks)])
    took = perf_counter() - start
    pictures = sum(map(len, re.findall(r'src="(data:image/[^"]*)"', html)))
    size = (len(html.encode()) - pictures) / 1e6
    rows = tracks * len(large.measurements)
    print(f"{defenses} x {attacks} x {tracks}, {rows:,} measurements: {size:.2f} MB without")
    print(f"pictures, written in {took:.1f} s")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(html, encoding="utf-8")
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        found: dict[str, list[float]] = {name: [] for name in MARKS}
        for _ in range(ROUNDS):
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.goto(file.as_uri())
            while not page.evaluate(MARKS["table to use"]):
                page.wait_for_timeout(20)
            for name, mark in MARKS.items():
                found[name].append(page.evaluate(mark))
            page.close()
        for name, times in found.items():
            print(f"{name}: {median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})")
        browser.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
