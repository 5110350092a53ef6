"""Changes of an index that are killed, or meet a full or broken disk; the long form is `benchmarks/index_faults`."""

import errno
import os
import shutil
import subprocess
import sys

import lance
import pytest
from fault_worker import CONFIG, OPERATIONS, batch, start
from index_damage import damaged

from index_faults import Fault, State, World, every_moment, random_kills, told, worker
from nearfar.core.errors import BadInput
from nearfar.index.building import building
from nearfar.index.config import IndexConfig
from nearfar.index.generation import open_index
from nearfar.index.location import TABLE
from nearfar.index.writer import changing, collect

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler to let writes fail"
)
MOMENTS = 3  # of each fault in each operation


@pytest.fixture(scope="module", params=[CONFIG, IndexConfig()], ids=["codes", "exact"])
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with worker(folder) as own:
        yield World.of(folder, own, config=request.param)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_killed_change_is_whole_or_none_and_the_next_one_works(world, operation):
    answers = world.answers
    moments = len(world.whole[operation]["moments"])
    found = random_kills(world, operation, 2) | every_moment(world, operation, "kill", moments // MOMENTS)
    assert not any(found.values()), found
    assert operation == "build" or world.answers > answers + len(found)


@pytest.mark.parametrize("what", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "gc"])
def test_trouble_with_the_disk_is_told_and_changes_nothing(world, operation, what):
    moments = len(world.whole[operation]["moments"])
    found = every_moment(world, operation, what, moments // MOMENTS)
    assert len(found) >= MOMENTS
    assert not any(found.values()), found


def test_a_place_is_never_without_an_index_while_it_is_replaced(world):
    """Killed between the exchange of two folders and the end, a build leaves nothing that the next one cannot undo."""
    moments = world.whole["build over"]["moments"]
    first = next(at for at, moment in enumerate(moments, 1) if moment == "renameat2 /index")
    found = {at: world.trial("build over", Fault("kill", at)) for at in range(first - 1, len(moments) + 1)}
    assert len(found) > 3
    assert not any(found.values()), found


@pytest.mark.parametrize("operation", ["build", "add", "delete", "compact"])
def test_a_last_write_that_failed_unsaid_is_found_out(world, operation):
    """Lance waits for the last write to a file, and does not ask how it ended."""
    moments = world.whole[operation]["moments"]
    writes = [at for at, moment in enumerate(moments, 1) if moment.startswith("write") and f"{TABLE}/" in moment]
    lasts = [at for at in writes if moments[at] != moments[at - 1] and "/_" not in moments[at - 1]]
    lasts += [at for at in writes if "/_deletions/" in moments[at - 1]]
    for at in lasts:
        path = world.fresh(operation)
        outcome = world.worker.run(operation, path, Fault("EIO", at))
        assert outcome["status"] == 2, (moments[at - 1], outcome)
        assert told(outcome["line"], path), outcome
        assert world.trial(operation, Fault("EIO", at)) == ""
    assert lasts


COMMAND = """
import ctypes, os, sys
library, at, error, index = sys.argv[1:]
ctypes.CDLL(library).disk_faults(os.fsencode(index), ctypes.c_long(int(at)), int(error))
from nearfar.cli.main import main
sys.argv = ["nearfar", "index", "compact", index]
main()
"""


def test_the_command_line_says_one_line_of_a_full_disk(world):
    """And none of Lance's warnings before it."""
    path = world.fresh("compact")
    at = next(at for at, moment in enumerate(world.whole["compact"]["moments"], 1) if moment.startswith("linkat"))
    library = str(world.folder / "disk_faults.so")
    command = [sys.executable, "-c", COMMAND, library, str(at), str(errno.ENOSPC), str(path)]
    environment = {**os.environ, "LD_PRELOAD": library}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert told(done.stderr.removeprefix("nearfar: ").rstrip(), path), done.stderr


def test_damage_is_told_before_an_answer_is_given(tmp_path):
    path = tmp_path / "index"
    start(path)
    lance.dataset(path / TABLE).delete("id = 'd1'")  # of a process that was stopped
    found = list(damaged(path, 80))
    assert all(one.outcome == ("told" if one.named else "right") for one in found), found
    assert {one.named for one in found} == {True, False}
    collect(path)
    found = list(damaged(path, 80))
    assert all(one.named and one.outcome == "told" for one in found), found


@pytest.mark.parametrize("cut", [lambda content: b"", lambda content: content[: len(content) // 2]])
def test_damage_to_a_change_that_was_never_visible_stops_nobody(tmp_path, cut):
    path = tmp_path / "index"
    start(path)
    before = State.of(path)
    lance.dataset(path / TABLE).delete("id = 'd1'")
    newest = min((path / TABLE / "_versions").glob("*.manifest"))  # their names count down
    newest.write_bytes(cut(newest.read_bytes()))
    with changing(path) as writer:
        assert writer.delete(["d0"]) == 1
    assert State.of(path).documents.keys() == before.documents.keys() - {"d0"}


def test_damage_to_an_unfinished_index_is_told(tmp_path):
    path = tmp_path / "index"
    with _begun(path) as unfinished:
        unfinished.append(batch(range(5), 0))
    for version in (tmp_path / ".index.building" / TABLE / "_versions").glob("*.manifest"):
        version.write_bytes(b"")
    with pytest.raises(BadInput, match=r"expected an unfinished index, .*; remove it to begin again"), _begun(path):
        pass


def _begun(path):
    return building(path, {})


def test_an_open_index_whose_files_are_gone_says_so(tmp_path):
    path = tmp_path / "index"
    start(path)
    opened = open_index(path)
    shutil.rmtree(path / TABLE / "data")
    with pytest.raises(BadInput, match="open the index again"):
        _ = opened.vectors
