"""Every benchmark can be tried in a short form, and says how."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FOLDERS = sorted(script.parent for script in BENCHMARKS.glob("*/run.py"))
SCRIPTS = [file.relative_to(BENCHMARKS) for file in sorted(BENCHMARKS.glob("**/*.py"))]


def test_there_are_benchmarks():
    assert len(FOLDERS) >= 10


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_benchmark_has_a_quick_form_that_its_readme_names(folder):
    shown = subprocess.run([sys.executable, folder / "run.py", "--help"], capture_output=True, text=True, check=True)
    assert {"--quick", "--out"} <= set(shown.stdout.replace(",", " ").split())
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"python benchmarks/{folder.name}/run.py --quick" in readme


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_what_a_benchmark_takes_from_nearfar_is_there(script):
    for node in ast.walk(ast.parse((BENCHMARKS / script).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nearfar":
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []
