"""Runs killed, filled up or interrupted at every moment of one save end with the bits of a run left alone.

The long form, at every moment of a whole run, is benchmarks/faults.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "faults.py"
SHORT = ["static", "bert, all graphs kept"]


def short(*options):
    """What the short form finds; one process, which imports torch once."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, str(HARNESS), "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def results():
    """By case and fault."""
    return {(result["case"], result["fault"]): result for result in short("--kills", "4", *SHORT)}


@pytest.mark.parametrize("fault", ["kill", "full", "interrupt", "interrupt twice", "kill at random", "flipped bit"])
@pytest.mark.parametrize("case", SHORT)
def test_the_end_is_the_same_bits(results, case, fault):
    result = results[case, fault]
    assert result["bad"] == {}
    assert result["identical"] == result["trials"] >= (4 if fault in {"kill at random", "flipped bit"} else 15)


def test_every_kind_of_moment_was_met(results):
    met = set(results["static", "kill"]["met"])
    assert met >= {"step", "evaluation", "open", "write", "mkdir", "fsync", "rename", "remove"}


def test_a_run_killed_while_it_mines():
    killed, *others = short("--kills", "2", "--faults", "kill", "--", "bert, mined")
    assert "mining" in killed["met"]
    assert [result["bad"] for result in (killed, *others)] == [{}] * 3


@pytest.mark.slow
def test_minilm_too(minilm):
    assert all(result["bad"] == {} for result in short("--kills", "2", "--faults", "kill", "--", "minilm"))
