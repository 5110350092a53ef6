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


@pytest.fixture(scope="module")
def results():
    """What the short form found, by case and fault; one process, which imports torch once."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, str(HARNESS), "--quick", "--kills", "4", *SHORT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {(result["case"], result["fault"]): result for result in found}


@pytest.mark.parametrize("fault", ["kill", "full", "interrupt", "interrupt twice", "kill at random"])
@pytest.mark.parametrize("case", SHORT)
def test_the_end_is_the_same_bits(results, case, fault):
    result = results[case, fault]
    assert result["bad"] == {}
    assert result["identical"] == result["trials"] >= (4 if fault == "kill at random" else 15)


def test_every_kind_of_moment_was_met(results):
    met = set(results["static", "kill"]["met"])
    assert met >= {"step", "evaluation", "open", "write", "mkdir", "fsync", "rename", "remove"}


@pytest.mark.slow
def test_minilm_too(minilm):
    done = subprocess.run([sys.executable, str(HARNESS), "--quick", "--kills", "2", "--faults", "kill", "--", "minilm"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line)["bad"] == {}
