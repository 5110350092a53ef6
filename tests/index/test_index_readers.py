"""Two processes that open an index while a third changes it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fault_reader import TOGETHER
from fault_worker import batch, build, start

from nearfar.index.generation import open_index
from nearfar.index.writer import changing, collect

READER = Path(__file__).with_name("fault_reader.py")
CHANGES = 24


def change(path, number):
    with changing(path) as writer:
        writer.put(batch(range(TOGETHER), number))
        if number % 3:
            writer.delete([f"d{i}" for i in range(100 + number, 500, 9)])
        else:
            writer.put(batch(range(TOGETHER, 500), number))
    if number % 5 == 0:
        with changing(path) as writer:
            writer.compact()


@pytest.mark.parametrize("removing", [False, True], ids=["changes", "gc and builds over it too"])
def test_readers_meet_whole_generations_whatever_the_writer_does(tmp_path, removing):
    path, stop = tmp_path / "index", tmp_path / "stop"
    start(path)
    command = [sys.executable, READER, path, stop]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert all(reader.stdout.readline() == "begun\n" for reader in readers)
    for number in range(2, CHANGES):
        change(path, number)
        if removing:
            collect(path)
        if removing and number % 4 == 0:
            build(path, number)
    stop.touch()
    for reader in readers:
        said, error = reader.communicate()
        assert reader.returncode == 0, error
        found = json.loads(said)
        assert found["editions"] > 2
        assert found["opens"] > 5
        assert removing or not found["gone"]
    assert len(open_index(path)) > TOGETHER
