import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted(f"nearfar.core.{file.stem}" for file in (ROOT / "src/nearfar/core").glob("[!_]*.py"))
HEAVY = {"torch", "transformers", "sentence_transformers", "sklearn", "mteb"}


@pytest.mark.parametrize("modules", [["nearfar"], CORE], ids=["nearfar", "core"])
def test_foundations_come_without_torch_and_sklearn(modules):
    code = f"import sys, {', '.join(modules)}; print(*sorted(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_import_contracts_hold():
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists() and not shutil.which("lint-imports"):
        pytest.skip("import-linter is not installed")
    command = [str(tool) if tool.exists() else "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
