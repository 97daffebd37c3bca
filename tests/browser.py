"""The browser of the report's tests: found, or installed where that can be done, or its absence said.

`make test` runs this once; the tests themselves only look for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install_browser() -> bool:
    """Install Chromium by the system's packages where this user may, else by Playwright."""
    ways = [[sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        ways.insert(0, ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
    for way in ways:
        sys.stderr.write(f"Installing a browser for the report's tests: {' '.join(way)}\n")
        quiet = subprocess.run(way, capture_output=True, text=True, check=False, timeout=600)
        if quiet.returncode == 0 and find_browser():
            return True
    return False


if __name__ == "__main__" and find_browser() is None and not install_browser():
    sys.stderr.write(
        "*** NO BROWSER: tests of the report in one are SKIPPED. Install chromium. ***\n"
    )
