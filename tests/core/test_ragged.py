import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.ragged import Ragged, offsets_of

COLUMNS = 9
ROWS = st.lists(st.lists(st.integers(0, COLUMNS - 1), max_size=6), max_size=8)


def plain(ragged: Ragged) -> list[list[int]]:
    return [row.tolist() for row in ragged]


@given(ROWS)
def test_of_keeps_the_rows(rows):
    ragged = Ragged.of(rows)
    assert plain(ragged) == rows
    assert len(ragged) == len(rows)
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert (ragged.offsets.dtype, ragged.values.dtype) == (np.int64, np.int32)


@given(ROWS)
def test_of_takes_a_generator_of_arrays(rows):
    assert plain(Ragged.of(np.array(row, np.int32) for row in rows)) == rows


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, COLUMNS - 1))))
def test_from_pairs_groups_in_order(pairs):
    rows = np.array([row for row, _ in pairs], np.int32)
    values = np.array([value for _, value in pairs], np.int32)
    expected = [[value for row, value in pairs if row == wanted] for wanted in range(6)]
    assert plain(Ragged.from_pairs(rows, values, 6)) == expected


@given(ROWS, st.data())
def test_rows_is_a_slice(rows, data):
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    assert plain(Ragged.of(rows).rows(start, stop)) == rows[start:stop]


@given(ROWS, st.data())
def test_rows_of_rows(rows, data):
    start = data.draw(st.integers(0, len(rows)))
    inner = data.draw(st.integers(0, len(rows) - start))
    assert plain(Ragged.of(rows).rows(start, len(rows)).rows(inner, len(rows) - start)) == rows[start:][inner:]


@given(ROWS, st.data())
def test_taken_rows_are_those_rows(rows, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1))) if rows else []
    assert plain(Ragged.of(rows).take(np.array(chosen, np.int64))) == [rows[i] for i in chosen]


@given(ROWS, ROWS)
def test_rows_follow_rows(rows, others):
    assert plain(Ragged.of(rows).followed_by(Ragged.of(others))) == rows + others


@given(ROWS)
def test_places_count_from_each_rows_start(rows):
    assert Ragged.of(rows).places().tolist() == [place for row in rows for place in range(len(row))]


def test_rows_share_memory():
    ragged = Ragged.of([[1, 2], [3], [4, 5]])
    assert np.shares_memory(ragged.rows(1, 3).values, ragged.values)


@given(ROWS)
def test_row_of_value_and_dense_match_loops(rows):
    ragged = Ragged.of(rows)
    assert ragged.row_of_value().tolist() == [i for i, row in enumerate(rows) for _ in row]
    matrix = ragged.dense(COLUMNS)
    assert matrix.shape == (len(rows), COLUMNS)
    assert all(matrix[i, j] == (j in row) for i, row in enumerate(rows) for j in range(COLUMNS))


def test_negative_rows_count_from_the_end():
    ragged = Ragged.of([[1], [2, 3]])
    assert ragged[-1].tolist() == [2, 3]
    assert ragged[np.int64(-2)].tolist() == [1]


@pytest.mark.parametrize("row", [2, -3])
def test_a_row_outside_is_an_index_error(row):
    with pytest.raises(IndexError):
        Ragged.of([[1], [2, 3]])[row]


def test_values_may_be_memory_mapped(tmp_path):
    np.save(tmp_path / "values.npy", np.arange(5, dtype=np.int32))
    ragged = Ragged(offsets_of(np.array([2, 0, 3])), np.load(tmp_path / "values.npy", mmap_mode="r"))
    assert plain(ragged) == [[0, 1], [], [2, 3, 4]]
    assert isinstance(ragged.rows(1, 3).values, np.memmap)


def test_offsets_do_not_overflow_32_bits():
    assert offsets_of(np.array([2**31, 2**31], np.int64)).tolist() == [0, 2**31, 2**32]
