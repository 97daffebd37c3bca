"""Make the example report and its pictures: `make example`, some minutes of one core.

A run of 2,000 rows on the simulated teacher in a temporary folder; 300 of its units can be opened in
the page, so that the file stays small. The pictures need a Chromium (see tests/browser.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from ds2 import synthesize
from ds2.runtime.reporting import ReportRequest, write_report

HERE = Path(__file__).resolve().parent
ROWS, OPENED = 2_000, 300
PICTURES = tuple(
    (f"report-{width}-{scheme}", width, height, scheme)
    for width, height in ((1280, 900), (400, 860))
    for scheme in ("light", "dark")
)


def report() -> Path:
    """Write the report of a fresh run and return its path; only its relative name stands in it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        synthesize("gsm8k", ROWS)
        request = ReportRequest((Path(f"runs/gsm8k-{ROWS}"),), HERE / "report.html", OPENED)
        path = write_report(request)
        os.chdir(HERE)
    return path


def pictures(page: Path) -> None:
    """Draw what stands first in the page's window, wide and narrow, light and dark."""
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    from browser import find_browser

    browser_path = find_browser()
    if browser_path is None:
        sys.exit("NO BROWSER: the report is made, its pictures are not. Install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, width, height, scheme in PICTURES:
            window = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            window.goto(page.as_uri())
            window.screenshot(path=HERE / f"{name}.png")
            window.close()
        browser.close()


if __name__ == "__main__":
    made = HERE / "report.html"
    if "--pictures" not in sys.argv:
        made = report()
    pictures(made)
    for path in (made, *sorted(HERE.glob("*.png"))):
        print(f"{path.name:<20} {path.stat().st_size / 1e3:>7,.0f} kB")
