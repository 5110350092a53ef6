"""What the service is installed with fits the service."""

import configparser
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.serve.config import ServeConfig
from nearfar.serve.guard import OPEN
from nearfar.serve.run import KEY, LAST_REQUESTS_S

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def trial():
    spec = importlib.util.spec_from_file_location("trial", DEPLOY / "try.py")
    module = sys.modules["trial"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def unit():
    found = configparser.ConfigParser(interpolation=None, strict=False)
    found.optionxform = str
    found.read(DEPLOY / "nearfar.service")
    return found["Service"]


def test_every_step_of_the_container_is_taken_by_the_trial(trial):
    steps = trial.steps((DEPLOY / "Containerfile").read_text())
    assert {word for word, _ in steps} <= set(trial.TAKE)
    image = trial.Image(Path(), Path(), [], {"TORCH_INDEX": "given"}, made=True)
    for word, rest in steps:
        if word not in {"FROM", "RUN", "COPY"}:
            trial.TAKE[word](image, rest)
    assert (image.user, image.arguments) == ("nearfar", {"TORCH_INDEX": "given"})
    assert image.environment["HF_HUB_OFFLINE"] == "1"
    assert image.entry[-1] == "serve"
    assert any(path in image.health[-1] for path in OPEN - {"/"})  # which needs no key
    assert f":{ServeConfig().port}" in image.health[-1]


def test_what_is_copied_is_there_and_is_let_through(trial):
    let = (DEPLOY / "Containerfile.containerignore").read_text().split()
    steps = trial.steps((DEPLOY / "Containerfile").read_text())
    for name in (name for word, rest in steps if word == "COPY" for name in shlex.split(rest)[:-1]):
        assert (ROOT / name).exists()
        assert f"!{name}" in let


def test_the_unit_waits_for_the_last_answers(unit):
    assert float(unit["TimeoutStopSec"]) > ServeConfig().drain_s + LAST_REQUESTS_S
    assert "HF_HUB_OFFLINE=1" in unit["Environment"]
    assert KEY not in unit["Environment"]  # every process may read that
    assert unit["EnvironmentFile"].startswith("-/etc/")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_systemd_reads_the_unit_and_finds_it_closed(tmp_path):
    unit = tmp_path / "nearfar.service"
    text = (DEPLOY / "nearfar.service").read_text()
    unit.write_text(text.replace("/opt/nearfar/bin/nearfar", shutil.which("true")))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "nearfar.service" not in done.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--json=short", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "nrecognized" in done.stderr:
        pytest.skip("this systemd cannot judge a file")
    found = {one["name"]: float(one["exposure"] or 0) for one in json.loads(done.stdout) if one["set"] is False}
    listens = {"PrivateNetwork=", "RestrictAddressFamilies=~AF_(INET|INET6)"}
    places_threads = {"SystemCallFilter=~@resources"}
    assert {name for name, exposure in found.items() if exposure >= 0.2} == listens | places_threads


def test_no_secret_is_written_down():
    for file in DEPLOY.iterdir():
        if file.is_file() and file.name != "try.py":
            assert not re.search(rf"{KEY}=\w", file.read_text())
