"""A page as a real browser shows it."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--disable-component-update",
         "--disable-background-networking")  # fmt: skip


def dom_of(page: Path, profile: Path) -> str:
    """What is in the document after its scripts have run, as HTML; skips the test where there is no Chromium."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    command = [chromium, "--headless", "--no-sandbox", *QUIET, f"--user-data-dir={profile}", "--window-size=1000,2000"]
    command += ["--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode()
