"""Addresses as runs, and vectors past Lance, against arrays and against Lance itself."""

import os
from itertools import pairwise

import lance
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.index.places import Places
from nearfar.index.plain import PlainVectors
from nearfar.index.table import ID, TEXT, VECTOR, Table, column_of, schema_of
from nearfar.index.unreadable import Unreadable

D = 64


@given(st.lists(st.integers(0, 60), unique=True), st.integers(1, 9))
def test_runs_are_the_addresses(listed, block):
    addresses = np.array(listed, np.uint64)
    places = Places.of(addresses[start : start + block] for start in range(0, len(listed), block))
    np.testing.assert_array_equal(places.all(), addresses)
    np.testing.assert_array_equal(places.rows_at(addresses[::-1]), np.arange(len(addresses))[::-1])
    assert len(places.firsts) == sum(after != before + 1 for before, after in pairwise([-9, *listed]))
    for wanted in range(62) if listed else []:
        expected = min((address for address in listed if address >= wanted), default=None)
        found = places.following(np.array([wanted], np.uint64))[0]
        assert found in listed if expected is None else found == expected


def test_neighbours_are_one_run():
    assert Places.of(np.split(np.arange(7, 1007, dtype=np.uint64), 5)).nbytes == 16


def written(path, count, dimension=D, **options):
    vectors = np.random.default_rng(count).standard_normal((count, dimension), np.float32)
    ids = pa.array([f"{count}-{i}" for i in range(count)])
    return lance.write_dataset(pa.table([ids, ids, column_of(vectors)], schema=schema_of(dimension)), path, **options)


def test_vectors_are_what_lance_reads(tmp_path):
    for count in (3000, 1, 700):  # three fragments
        written(tmp_path / "t", count, mode="append" if (tmp_path / "t").exists() else "create", max_rows_per_file=900)
    dataset = lance.dataset(tmp_path / "t")
    dataset.delete(f"{ID} in ('3000-0', '3000-1700', '1-0')")
    table = Table.of(dataset)
    rows = np.random.default_rng(0).permutation(len(table))
    assert table._plain is not None
    np.testing.assert_array_equal(table.vectors(rows), table._taken(rows))
    assert table.vectors(rows[:0]).shape == (0, D)


def files_of(path):
    return sorted((path / "data").iterdir())


def test_vectors_that_only_the_disk_has_are_read_too(tmp_path):
    table = Table.of(written(tmp_path / "t", 3000, max_rows_per_file=900))
    rows = np.random.default_rng(0).permutation(3000)
    expected = table.vectors(rows)
    for file in files_of(tmp_path / "t"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    np.testing.assert_array_equal(table.vectors(rows), expected)


@pytest.mark.parametrize("left", [0, 4, 4 * D - 1])
def test_a_vector_that_is_cut_short_meanwhile_is_told(tmp_path, left):
    table = Table.of(written(tmp_path / "t", 500))
    rows = np.arange(500)
    whole = table.vectors(rows)
    [file], plain = files_of(tmp_path / "t"), table._plain
    assert len(plain.offsets) == 1
    os.truncate(file, int(plain.offsets[0]) + 300 * 4 * D + left)
    np.testing.assert_array_equal(table.vectors(rows[:300]), whole[:300])
    with pytest.raises(Unreadable, match="cut short"):
        table.vectors(rows)


def test_other_layouts_are_left_to_lance(tmp_path):
    table = Table.of(written(tmp_path / "short", 500, dimension=4))  # packed in small blocks
    assert table._plain is None
    np.testing.assert_array_equal(table.vectors(np.arange(500)), table._taken(np.arange(500)))
    vectors = np.random.default_rng(0).standard_normal((500, D), np.float32)
    some = pa.array([list(row) if i % 7 else None for i, row in enumerate(vectors)], pa.list_(pa.float32(), D))
    lance.write_dataset(pa.table({ID: ["a"] * 500, TEXT: ["a"] * 500, VECTOR: some}), tmp_path / "gaps")
    assert PlainVectors.of(lance.dataset(tmp_path / "gaps"), VECTOR, D) is None


def test_numbers_that_are_not_those_of_lance_are_not_used(tmp_path, monkeypatch):
    table = Table.of(written(tmp_path / "t", 50))
    wrong = PlainVectors.at
    with monkeypatch.context() as patch:
        patch.setattr(PlainVectors, "at", lambda self, addresses: wrong(self, addresses) + 1)
        assert table._plain is None
    np.testing.assert_array_equal(table.vectors(np.arange(50)), table._taken(np.arange(50)))


@pytest.mark.parametrize("count", [0, 40])
def test_a_filter_finds_rows(tmp_path, count):
    table = Table.of(written(tmp_path / "t", count))
    assert table.rows_where(f"{ID} = '{count}-7'").tolist() == [7][: count // 40]
