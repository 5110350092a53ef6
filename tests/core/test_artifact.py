import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from artifact_folders import KIND, holds, make, names, refusal

from nearfar.core import swap
from nearfar.core.artifact import MANIFEST, placing, read_manifest, write_json, writing


def test_what_is_written_is_read(tmp_path):
    make(tmp_path / "runs" / "a")
    assert holds(tmp_path / "runs" / "a", "old")
    assert names(tmp_path / "runs") == ["a"]


@pytest.mark.parametrize(
    "meta",
    [{}, {"π": "déjà vu", "x": [1.5, float("inf"), None, {"y": True}]}, {"odd": "\ud800", "pair": "\ud83d\ude00"}],
)
def test_meta_survives(tmp_path, meta):
    make(tmp_path / "a", meta=meta)
    assert read_manifest(tmp_path / "a", KIND).keys() == meta.keys()
    assert read_manifest(tmp_path / "a", KIND) == json.loads(json.dumps(meta))


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_weights_may_be_read_by_whom_other_files_may(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with placing(tmp_path / "a") as scratch:
            (scratch / "model.safetensors").touch(0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "model.safetensors").stat().st_mode & 0o777 == mode


def test_an_existing_folder_is_refused_and_kept(tmp_path):
    make(tmp_path / "a")
    assert "found one that exists" in refusal(lambda: make(tmp_path / "a", "new"))
    assert holds(tmp_path / "a", "old")


@pytest.mark.parametrize("swaps", [True, False])
def test_overwrite_keeps_the_old_until_the_end(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    path = tmp_path / "a"
    make(path)
    with writing(path, KIND, {"text": "new"}, overwrite=True) as folder:
        (folder / "data.txt").write_text("new")
        assert holds(path, "old")
    assert holds(path, "new")
    assert names(path) == ["data.txt", MANIFEST]
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="no system call that swaps two folders")
def test_overwrite_never_leaves_the_place_empty(tmp_path, monkeypatch):
    def forbidden(scratch, target):
        pytest.skip("this file system cannot swap two folders")

    monkeypatch.setattr(swap, "_replace", forbidden)
    make(tmp_path / "a")
    make(tmp_path / "a", "new", overwrite=True)
    assert holds(tmp_path / "a", "new")


def test_overwrite_replaces_an_empty_folder(tmp_path):
    (tmp_path / "a").mkdir()
    make(tmp_path / "a", overwrite=True)
    assert holds(tmp_path / "a", "old")


def test_overwrite_never_takes_a_folder_that_is_no_artifact(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("dear")
    assert "expected an artifact to replace" in refusal(lambda: make(tmp_path / "photos", overwrite=True))
    assert names(tmp_path / "photos") == ["1.jpg"]


def test_overwrite_follows_a_link(tmp_path):
    make(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    make(tmp_path / "link", "new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert holds(tmp_path / "real", "new")
    assert names(tmp_path) == ["link", "real"]


@pytest.mark.parametrize("name", ["data.txt", "deep/numbers.bin", MANIFEST])
def test_any_flipped_byte_is_found(tmp_path, name):
    make(tmp_path / "a")
    file = tmp_path / "a" / name
    whole = file.read_bytes()
    for position in range(0, len(whole), 1 if name == MANIFEST else 7):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        # white space outside the strings of the manifest means nothing
        if name == MANIFEST and json_or_none(file) == json.loads(whole):
            continue
        assert refusal(lambda: read_manifest(tmp_path / "a", KIND)).startswith(f"{file}: ")
    file.write_bytes(whole)
    assert holds(tmp_path / "a", "old")


def json_or_none(file: Path):
    try:
        return json.loads(file.read_text())
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["data.txt", "deep/numbers.bin", MANIFEST])
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_a_truncated_file_is_found(tmp_path, name, kept):
    make(tmp_path / "a")
    file = tmp_path / "a" / name
    whole = file.read_text() if name == MANIFEST else file.read_bytes()
    part = whole.rstrip()[:kept] if name == MANIFEST else whole[:kept]
    file.write_text(part) if name == MANIFEST else file.write_bytes(part)
    assert str(file) in refusal(lambda: read_manifest(tmp_path / "a", KIND))


def test_a_missing_file_is_found(tmp_path):
    make(tmp_path / "a")
    (tmp_path / "a" / "data.txt").unlink()
    assert "expected the file the manifest names, found none" in refusal(lambda: read_manifest(tmp_path / "a", KIND))


def test_the_manifest_of_an_inner_artifact_is_guarded_too(tmp_path):
    with writing(tmp_path / "a", KIND, {}) as folder:
        make(folder / "inner")
    (tmp_path / "a" / "inner" / MANIFEST).write_text("{}")
    assert "other bytes" in refusal(lambda: read_manifest(tmp_path / "a", KIND))


def test_another_kind_is_refused(tmp_path):
    make(tmp_path / "a")
    assert "expected a model of format 1, found thing of format 1" in refusal(
        lambda: read_manifest(tmp_path / "a", "model")
    )


@pytest.mark.parametrize("text", ["", "[]", "null", '"kind"', "{}", '{"name": "a web page"}', "{", "\x00"])
def test_a_foreign_manifest_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    refusal(lambda: read_manifest(tmp_path, KIND))


def test_a_missing_folder_is_refused(tmp_path):
    assert "expected a nearfar thing folder, found no manifest.json" in refusal(
        lambda: read_manifest(tmp_path / "a", KIND)
    )


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    refusal(lambda: make(tmp_path / "file"))
    refusal(lambda: make(tmp_path / "file", overwrite=True))
    refusal(lambda: make(tmp_path / "file" / "below"))
    assert (tmp_path / "file").read_text() == "mine"


def test_json_is_replaced_whole(tmp_path):
    write_json(tmp_path / "run.json", {"a": 1})
    write_json(tmp_path / "run.json", {"a": "é", "x": [np.pi]})
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == {"a": "é", "x": [np.pi]}
    assert names(tmp_path) == ["run.json"]
