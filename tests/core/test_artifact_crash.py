import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from artifact_folders import KIND, holds, make, names, refusal

from nearfar.core import swap
from nearfar.core.artifact import read_manifest, write_json, write_manifest, writing


def stop_halfway(path: Path, trouble: type[BaseException]) -> None:
    with writing(path, KIND, {}, overwrite=True) as folder:
        (folder / "half").write_text("half")
        raise trouble


@pytest.mark.parametrize("trouble", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_an_exception_inside_leaves_nothing(tmp_path, trouble, existing):
    if existing:
        make(tmp_path / "a")
    with pytest.raises(trouble):
        stop_halfway(tmp_path / "a", trouble)
    assert names(tmp_path) == (["a"] if existing else [])
    assert not existing or holds(tmp_path / "a", "old")


def test_trouble_with_other_files_is_not_called_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path / "a", KIND, {}):
        (tmp_path / "no such input").read_text()


WRITER = """
import sys, time
from pathlib import Path
from nearfar.core.artifact import writing
with writing(Path(sys.argv[1]), "thing", {"text": "new"}, overwrite=True) as folder:
    (folder / "data.txt").write_text("ne")
    print("in the middle", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("existing", [True, False])
def test_a_killed_writer_leaves_the_old_artifact_and_the_next_one_sweeps(tmp_path, existing):
    if existing:
        make(tmp_path / "a")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "a")], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"in the middle\n"
        make(tmp_path / "b")  # a neighbour does not disturb a living writer
        assert len(list(tmp_path.glob(".a.writing-*"))) == 1
        writer.send_signal(signal.SIGKILL)
    assert holds(tmp_path / "a", "old") if existing else not (tmp_path / "a").exists()
    make(tmp_path / "a", "newer", overwrite=True)
    assert holds(tmp_path / "a", "newer")
    assert names(tmp_path) == ["a", "b"]


def test_a_living_writers_folder_is_not_swept(tmp_path):
    theirs = tmp_path / f".a.writing-{os.getppid()}"
    theirs.mkdir()
    make(tmp_path / "a")
    assert theirs.exists()


def test_a_crash_between_two_renames_names_the_old_folder(tmp_path):
    make(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / ".a.old-123")
    assert f"rename {tmp_path / '.a.old-123'} to it" in refusal(lambda: read_manifest(tmp_path / "a", KIND))


def test_a_failed_second_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    make(tmp_path / "a")
    rename = Path.rename

    def fails_for_scratch(self, target):
        if ".writing-" in self.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", fails_for_scratch)
    assert "Input/output error" in refusal(lambda: make(tmp_path / "a", "new", overwrite=True))
    assert holds(tmp_path / "a", "old")
    assert names(tmp_path) == ["a"]


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_full(monkeypatch):
    monkeypatch.setattr(os, "fsync", full)


def make_folder_full(monkeypatch):
    monkeypatch.setattr(Path, "mkdir", full)


def write_full(monkeypatch):
    monkeypatch.setattr(Path, "write_text", full)


@pytest.mark.parametrize("fill", [sync_full, make_folder_full, write_full])
@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_is_told_in_one_line_and_changes_nothing(tmp_path, fill, existing):
    path = tmp_path / "a"
    if existing:
        make(path)
    with pytest.MonkeyPatch.context() as patch:
        fill(patch)
        message = refusal(lambda: make(path, "new", overwrite=True))
    assert message.startswith(f"{path}: expected a place to write to, found No space left on device; free some space")
    assert names(tmp_path) == (["a"] if existing else [])
    assert not existing or holds(path, "old")


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from nearfar.core.artifact import writing
from nearfar.core.errors import BadInput
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
save = {
    "numpy": lambda folder: np.save(folder / "x.npy", np.zeros(100_000)),
    "safetensors": lambda folder: save_file({"x": np.zeros(100_000)}, folder / "x"),
    "text": lambda folder: (folder / "x").write_text("x" * 100_000),
}[sys.argv[2]]
try:
    with writing(Path(sys.argv[1]), "thing", {}, overwrite=True) as folder:
        save(folder)
except BadInput as error:
    print(error)
"""


@pytest.mark.parametrize("writer", ["numpy", "safetensors", "text"])
def test_a_writer_that_runs_out_of_room_is_told_so(tmp_path, writer):
    make(tmp_path / "a")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "a"), writer], capture_output=True, text=True, check=False
    )
    assert re.fullmatch(r".*/a: expected a place to write to, found .+; free some space .+\n", done.stdout), done
    assert holds(tmp_path / "a", "old")
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refusal(lambda: make(tmp_path / "a"))


@pytest.mark.parametrize("fill", [sync_full, write_full])
def test_json_on_a_full_disk_keeps_the_old(tmp_path, fill):
    write_json(tmp_path / "run.json", {"a": 1})
    with pytest.MonkeyPatch.context() as patch:
        fill(patch)
        assert "No space left on device" in refusal(lambda: write_json(tmp_path / "run.json", {"a": 2}))
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": 1}
    assert names(tmp_path) == ["run.json"]


def fails_for(monkeypatch, folder):
    """Flushing this folder fails."""
    flush = os.fsync

    def flushed(handle):
        if Path(f"/proc/self/fd/{handle}").readlink() == folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(handle)

    monkeypatch.setattr(os, "fsync", flushed)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("existing", [True, False])
def test_what_cannot_be_flushed_in_its_place_is_taken_back(tmp_path, monkeypatch, existing):
    if existing:
        make(tmp_path / "a")
        write_json(tmp_path / "run.json", {"a": 1})
    with monkeypatch.context() as patch:
        fails_for(patch, tmp_path)
        assert "Input/output error" in refusal(lambda: make(tmp_path / "a", "new", overwrite=True))
        assert "Input/output error" in refusal(lambda: write_json(tmp_path / "run.json", {"a": 2}))
    assert names(tmp_path) == (["a", "run.json"] if existing else [])
    assert not existing or holds(tmp_path / "a", "old")
    assert not existing or json.loads((tmp_path / "run.json").read_text()) == {"a": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_every_folder_above_a_file_is_flushed(tmp_path, monkeypatch):
    """Else a crash of the machine can lose the folder with what is in it."""
    flushed, flush = set(), os.fsync
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda handle: flushed.add(Path(f"/proc/self/fd/{handle}").readlink()) or flush(handle)
        )
        write_manifest(tmp_path, KIND, {}, [tmp_path / "a" / "b" / "c"])
    assert {tmp_path / place for place in ("", "a", "a/b", "a/b/c")} <= flushed
