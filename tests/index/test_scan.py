"""The loops of a search over codes against naive ones."""

import re

import numpy as np
import pytest
from numba import njit

from nearfar.compress.codec import Sample
from nearfar.compress.registry import fit
from nearfar.core.errors import BadInput
from nearfar.index import registers
from nearfar.index.cells import Cells, Coder
from nearfar.index.registers import (
    BLOCK,
    PICKS,
    by_document,
    in_blocks,
    rounded,
    sums_at_once,
    sums_of,
    sums_one_by_one,
)
from nearfar.index.scan import tables_of

D, N, C, COUNT = 16, 1000, 20, 30


def made(codec, size_bytes):
    random = np.random.default_rng(size_bytes)
    vectors, centroids = random.standard_normal((N, D), np.float32), random.standard_normal((C, D), np.float32)
    fitted = fit(codec, Sample(vectors, vectors[:0]), size_bytes)
    homes = random.integers(0, C - 1, N).astype(np.int32)  # the last cell is empty
    return Cells.of(Coder(codec, fitted, centroids), homes, fitted.encode(vectors))


@pytest.fixture(
    scope="module", params=[("pq", 3), ("pq", 4), ("pq", 8), ("pq4", 4), ("pq4_p", 3), ("pq4_p", 8)], ids=str
)
def cells(request):
    return made(*request.param)


def code_scores(cells, query):
    """Of each document; codes of four bits by tables rounded to bytes."""
    homes, codes = cells.by_row()
    near = (cells.coder.centroids @ query)[homes]
    if cells.codes.ndim == 2:
        return near + cells.coder.codec.score(query[None], codes)[0]
    tables, step = rounded(tables_of(cells._books, query))
    groups = np.stack([codes & 15, codes >> 4], axis=2).reshape(N, -1)  # a byte's lower bits first
    return near + step * tables[np.arange(len(tables)), groups].sum(axis=1, dtype=np.int64).astype(np.float32)


def naive(cells, query, scanned, allowed):
    """Rows of the best codes, cell by cell."""
    near, homes, scores = cells.coder.centroids @ query, cells.by_row()[0], code_scores(cells, query)
    met = []
    for cell in np.argsort(-near):
        if len(met) >= scanned * np.sqrt(allowed.mean()):
            break
        met += [row for row in np.flatnonzero(homes == cell) if allowed[row]]
    return sorted(sorted(met, key=lambda row: -scores[row])[:COUNT])


@pytest.mark.parametrize("scanned", [1, 333, N])
@pytest.mark.parametrize("share", [1.0, 0.3, 0.031, 0.004, 0.0])
def test_candidates_are_the_best_codes_of_the_opened_cells(cells, scanned, share):
    allowed = np.random.default_rng(9).permutation(N) < share * N
    for query in np.random.default_rng(8).standard_normal((5, D), np.float32):
        found = cells.candidates(query, COUNT, scanned, None if share == 1 else allowed)
        if np.count_nonzero(allowed) <= COUNT:  # all are candidates, however few are to be scanned
            assert found.tolist() == np.flatnonzero(allowed).tolist()
        else:
            assert found.tolist() == naive(cells, query, scanned, allowed)


@pytest.mark.parametrize("count", [1, 7, 500, 999])
def test_few_are_kept_on_the_way_and_none_of_the_best_is_lost(cells, count):
    for query in np.random.default_rng(7).standard_normal((5, D), np.float32):
        scores = np.sort(code_scores(cells, query))[::-1]
        found = cells.candidates(query, count, N)
        assert np.array_equal(found, np.unique(found))
        assert np.sort(code_scores(cells, query)[found])[::-1] == pytest.approx(scores[:count], abs=1e-5)


def test_codes_of_four_bits_rank_as_their_codec_does(cells):
    for query in np.random.default_rng(6).standard_normal((5, D), np.float32):
        homes, codes = cells.by_row()
        exact = (cells.coder.centroids @ query)[homes] + cells.coder.codec.score(query[None], codes)[0]
        best = np.argsort(-exact)[:COUNT]
        assert len(np.intersect1d(cells.candidates(query, COUNT, N), best)) >= COUNT - 2  # tables are rounded


def test_homes_and_codes_come_back(cells):
    homes, codes = cells.by_row()
    again = Cells.of(cells.coder, homes, codes)
    for name in ("starts", "rows", "codes"):
        assert np.array_equal(getattr(again, name), getattr(cells, name))
    assert len(again) == N


@pytest.mark.parametrize("width", [1, 2, 48, 128])
def test_sums_in_registers_are_those_one_by_one(width):
    random = np.random.default_rng(width)
    codes = random.integers(0, 256, (3 * BLOCK, width), dtype=np.uint8)
    codes[:2] = [[0], [255]]
    tables = random.integers(0, 256, (2 * width, 16), dtype=np.uint8)
    tables[:, [0, 15]] = 255
    codes.flags.writeable = False
    for block, part in enumerate(np.split(codes, 3)):
        for sums in [sums_one_by_one, sums_of, *([sums_at_once] if PICKS else [])]:
            found = np.empty(BLOCK, np.uint16)
            sums(in_blocks(codes), block, tables, found)
            groups = np.stack([part & 15, part >> 4], axis=2).reshape(BLOCK, -1)  # a byte's lower bits first
            wanted = [sum(int(table[code]) for table, code in zip(tables, row, strict=True)) for row in groups]
            assert found.tolist() == wanted
    assert np.array_equal(by_document(in_blocks(codes)), codes)


@pytest.mark.skipif("x86" not in PICKS, reason="needs a processor with these instructions")
def test_narrower_registers_give_the_same(monkeypatch):
    monkeypatch.setattr(registers, "PICKS", "llvm.x86.ssse3.pshuf.b.128")

    @njit
    def narrow(blocks, tables, sums):
        registers._sums_at_once(blocks, 1, tables, sums)

    random = np.random.default_rng(0)
    blocks, tables = random.integers(0, 256, (2, 5, BLOCK), np.uint8), random.integers(0, 256, (10, 16), np.uint8)
    found, wanted = np.empty(BLOCK, np.uint16), np.empty(BLOCK, np.uint16)
    narrow(blocks, tables, found)
    sums_one_by_one(blocks, 1, tables, wanted)
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("groups", [2, 96, 1024])
def test_rounded_tables_are_within_half_a_step_and_no_sum_overflows(groups):
    tables = np.random.default_rng(groups).standard_normal((groups, 16)).astype(np.float32)
    found, step = rounded(tables)
    assert np.abs(tables - tables.min(axis=1, keepdims=True) - step * found).max() <= 0.501 * step
    assert found.max(axis=1).sum(dtype=np.int64) <= 65_535
    assert found.max() == 255 or groups == 1024


def test_a_table_of_one_value_says_nothing():
    assert not rounded(np.ones((4, 16), np.float32))[0].any()


def damaged(name, change):
    def damage(folder):
        np.save(folder / f"{name}.npy", change(np.load(folder / f"{name}.npy")))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damaged("starts", lambda starts: np.append(starts[:1], starts[1:] - 1)),
        damaged("starts", lambda starts: np.append(starts[0], np.append(starts[1:-1] + 1, starts[-1]))),
        damaged("rows", lambda rows: np.where(rows < 0, -2, rows)),
        damaged("rows", lambda rows: np.where(rows < 0, 0, rows)),
        damaged("rows", lambda rows: np.where(rows == 5, -1, rows)),
        damaged("rows", lambda rows: np.where(rows == 5, 2**31 - 1, rows)),
        damaged("codes", lambda codes: codes[:-1]),
        damaged("codes", by_document),
        damaged("codes", np.asfortranarray),
    ],
)
def test_blocks_that_a_loop_would_follow_out_of_memory_are_refused(damage, tmp_path):
    made("pq4_p", 4).save(tmp_path / "cells", "f")
    assert len(Cells.load(tmp_path / "cells", "pq4_p", "f", (N, D))) == N
    damage(tmp_path / "cells")
    with pytest.raises(BadInput, match=re.escape("each of 1,000 documents once")):
        Cells.load(tmp_path / "cells", "pq4_p", "f", (N, D))
