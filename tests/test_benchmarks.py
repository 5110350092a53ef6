"""Every benchmark can be tried in a short form, and says how."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = sorted(script.parent for script in (Path(__file__).parents[1] / "benchmarks").glob("*/run.py"))


def test_there_are_benchmarks():
    assert len(FOLDERS) >= 10


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_benchmark_has_a_quick_form_that_its_readme_names(folder):
    shown = subprocess.run([sys.executable, folder / "run.py", "--help"], capture_output=True, text=True, check=True)
    assert {"--quick", "--out"} <= set(shown.stdout.replace(",", " ").split())
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"python benchmarks/{folder.name}/run.py --quick" in readme
