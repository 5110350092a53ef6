"""An index whose table lies at a URL: a folder of this machine by Lance's object storage, or NEARFAR_TEST_URL."""

import os
import shutil
import sys
from uuid import uuid4

import numpy as np
import pytest
from fault_worker import AT_URL
from test_writer import CONFIG, batch, check, vectors

from index_faults import World, every_moment, worker
from nearfar.core.artifact import read_meta
from nearfar.core.errors import BadInput
from nearfar.index.building import building
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.generation import KIND, open_index
from nearfar.index.location import Location
from nearfar.index.writer import changing, collect, sizes

KILLED = ("build", "build over", "delete", "gc")
OPTIONS = {"aws_secret_access_key": "sesame"}  # a folder has no use for it


@pytest.fixture
def table(tmp_path):
    """Where tables are to lie: below an address of its own, on S3 or another storage where that is asked for."""
    own = os.environ.get("NEARFAR_TEST_URL")
    return Location.at(f"{own}/{uuid4().hex}") if own else Location.at(f"file://{tmp_path}/table", OPTIONS)


def build(path, table, count, config=CONFIG, seed=0):
    documents = dict(zip([f"d{i}" for i in range(count)], vectors(count, seed), strict=True))
    with building(path, {"seed": seed}, table) as unfinished:
        unfinished.append(batch(documents))
        canaries = Canaries(TEXTS, vectors(len(TEXTS), 1))
        unfinished.finish(canaries, config, fingerprint="f", similarity="dot")
    return documents


def left_at(table, prefix="documents-"):
    """Files below the URL of tables."""
    return {name for name in table._names() if name.startswith(prefix)}


def named(path):
    """Files below it that an index's manifest names."""
    place = read_meta(path, KIND)["table"]
    return {f"{place['url'].rpartition('/')[2]}/{name}" for name in place["files"]}


@pytest.mark.parametrize("config", [CONFIG, IndexConfig()], ids=["codes", "exact"])
def test_changes_leave_what_a_dictionary_holds(tmp_path, table, config):
    path = tmp_path / "index"
    expected = build(path, table, 600, config)
    before = open_index(path, table.storage)
    found = before.search(vectors(3, 98), 10, "f")
    for number in range(3):
        new = {f"d{590 + 7 * number + i}": vector for i, vector in enumerate(vectors(10, number + 2))}
        gone = [f"d{i}" for i in range(100 * number, 100 * number + 50)]
        with changing(path, table.storage) as writer:
            writer.put(batch(new))
            assert writer.delete(gone) == 50
            if number == 1:
                writer.compact()
        expected = {key: vector for key, vector in (expected | new).items() if key not in gone}
        check(path, expected)
    with changing(path, table.storage) as writer:
        writer.compact()
    check(path, expected)
    for now, then in zip(before.search(vectors(3, 98), 10, "f"), found, strict=True):
        np.testing.assert_array_equal(now, then)  # the old generation answers still
    whole, needed = sizes(path, table.storage)
    assert collect(path, table.storage) >= whole - needed > 0
    assert left_at(table) == named(path)
    assert sizes(path, table.storage) == (needed, needed)
    check(path, expected)
    shutil.copytree(path, tmp_path / "copy")  # on another machine
    check(tmp_path / "copy", expected)
    assert not any(b"sesame" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert not list(path.rglob("*.lance"))


def _change_and_fail(writer):
    writer.delete(["d1", "d2"])
    writer.put(batch({"d3": np.full(16, np.inf, np.float32)}))


def test_what_raises_or_was_never_visible_changes_nothing(tmp_path, table):
    path = tmp_path / "index"
    expected = build(path, table, 40)
    with pytest.raises(BadInput, match="a finite vector"), changing(path, table.storage) as writer:
        _change_and_fail(writer)
    check(path, expected)
    assert Location.of(path, read_meta(path, KIND)).open().version > 1
    with changing(path, table.storage) as writer:
        assert writer.delete(["d1", "nobody"]) == 1
    del expected["d1"]
    check(path, expected)


def test_an_index_is_replaced_and_its_table_goes(tmp_path, table):
    path = tmp_path / "index"
    build(path, table, 40)
    first, opened = named(path), open_index(path)
    check(path, build(path, table, 50, seed=1))
    assert not first & named(path)
    assert left_at(table) == named(path)
    with pytest.raises(BadInput, match="open the index again"):
        _ = opened.vectors
    check(path, build(path, None, 60, seed=2))
    assert not left_at(table)


def test_an_unfinished_index_goes_on_or_is_dropped(tmp_path, table):
    path, documents = tmp_path / "index", dict(zip("abcdef", vectors(6, 3), strict=True))
    for start in (0, 2, 4):
        part = {key: documents[key] for key in list(documents)[start : start + 2]}
        with building(path, {"seed": 3}, table) as unfinished:
            assert unfinished.ids() == list(documents)[:start]
            unfinished.append(batch(part))
    assert left_at(table)
    expected = build(path, table, 30, seed=4)
    check(path, expected)
    assert left_at(table) == named(path)
    with pytest.raises(BadInput, match="a finite vector"), building(path, {"seed": 5}, table) as unfinished:
        unfinished.append(batch({"d1": np.full(16, np.nan, np.float32)}))
    assert left_at(table) == named(path)


@pytest.mark.skipif("NEARFAR_TEST_URL" in os.environ, reason="damages a table as files")
@pytest.mark.parametrize(("damage", "said"), [(lambda file: file.unlink(), "found none"),
                                              (lambda file: os.truncate(file, 99), "bytes, found 99")])  # fmt: skip
def test_a_file_that_is_gone_or_cut_short_is_told(tmp_path, table, damage, said):
    path = tmp_path / "index"
    build(path, table, 40)
    for name in named(path):
        file = tmp_path / "table" / name
        content = file.read_bytes()
        damage(file)
        told = f"({said})|(expected version 1 of a Lance table, found .*; check the URL, the credentials)"
        with pytest.raises(BadInput, match=told):
            open_index(path)
        file.write_bytes(content)
    open_index(path)


@pytest.mark.parametrize("url", ["memory://docs", "s3:", "docs", "http://a/b", "file://docs/x", "s3://a:b@c/d",
                                 "s3://bucket/docs?versionId=1", ""])  # fmt: skip
def test_what_is_no_place_for_a_table_is_refused(url):
    with pytest.raises(BadInput, match=r"^--table: expected "):
        Location.at(url)


def test_a_storage_that_cannot_be_reached_is_told_and_leaves_nothing(tmp_path):
    nowhere = {"aws_endpoint": "http://127.0.0.1:9", "allow_http": "true", "aws_region": "x", "client_max_retries": "0",
               "aws_access_key_id": "a", "aws_secret_access_key": "sesame"}  # fmt: skip
    table = Location.at("s3://bucket/docs", nowhere)
    with pytest.raises(BadInput, match="s3://bucket/docs: expected object storage that answers, found") as raised:
        build(tmp_path / "index", table, 5)
    assert "sesame" not in str(raised.value) + repr(table)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler to kill at a moment"
)
@pytest.mark.parametrize("operation", KILLED)
def test_a_killed_change_is_whole_or_none_and_the_next_one_works(world, operation):
    assert any("/table/documents-" in moment for moment in world.whole[operation]["moments"])
    found = every_moment(world, operation, "kill", len(world.whole[operation]["moments"]) // 2)
    assert len(found) >= 2
    assert not any(found.values()), found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(AT_URL, "1")
        with worker(folder) as own:
            yield World.of(folder, own, KILLED, CONFIG)
