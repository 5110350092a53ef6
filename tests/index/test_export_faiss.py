import json
from dataclasses import replace

import faiss
import numpy as np
import pytest
from coded import QUERIES, VECTORS, Scoring, codec_of, fitted, leaving

from nearfar.compress.binary import BINARY
from nearfar.compress.float16 import FLOAT16
from nearfar.compress.four_bits import PQ4
from nearfar.compress.product import PQ
from nearfar.core.errors import BadInput
from nearfar.index.export_check import Rule, agreement
from nearfar.index.export_faiss import Lists, write_faiss

SUMS = ["pq", "pq, uneven groups", "opq", "opq, uneven groups", "mapped", "wider", "residual", "one codebook",
        "residual, mapped"]  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_a_stranger_who_reads_the_file_gets_our_scores_and_order_from_plain_queries(tmp_path, name):
    codec = codec_of(name)
    left = leaving(codec, VECTORS, QUERIES)
    found = write_faiss(tmp_path / "out", left)
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    faiss.extract_index_ivf(index).nprobe = 1000
    scores, rows = index.search(QUERIES, 1200)
    ours = QUERIES @ codec.decode(left.codes).T
    np.testing.assert_allclose(scores, np.take_along_axis(ours, rows, 1), atol=1e-4 * np.abs(ours).max())
    np.testing.assert_allclose(scores, -np.sort(-ours, axis=1), atol=1e-4 * np.abs(ours).max())
    assert found.worst < 1e-5
    assert json.loads((tmp_path / "out" / "ids.json").read_text(encoding="utf-8")) == list(left.ids)


FOURS = ["four bits", "four bits, uneven groups"]


@pytest.mark.parametrize("name", FOURS)
def test_fast_scan_finds_our_best_with_our_scores(tmp_path, name):
    codec = codec_of(name)
    left = leaving(codec, VECTORS, QUERIES)
    found = write_faiss(tmp_path / "out", left)
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    fast = faiss.downcast_index(faiss.downcast_index(faiss.downcast_index(index).index).base_index)
    assert (type(fast), fast.by_residual, fast.pq.nbits) == (faiss.IndexIVFPQFastScan, False, 4)
    faiss.extract_index_ivf(index).nprobe = 1000
    scores, rows = index.search(QUERIES, 10)
    ours = QUERIES @ codec.decode(left.codes).T
    np.testing.assert_allclose(scores, np.take_along_axis(ours, rows, 1), atol=1e-5)
    overlap = (scores >= -np.sort(-ours, axis=1)[:, 9:10] - 1e-5).mean()
    assert min(overlap, found.overlap) > 0.99
    assert found.worst < 5e-3
    rounded = fast.search(QUERIES @ codec.matrix.T, 1200)[0]
    assert np.abs(rounded - -np.sort(-ours, axis=1)).max() > 5e-3  # what fast scan alone would say


def test_fast_scan_that_chooses_others_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("nearfar.index.export_faiss.CHOSEN", 1)
    left = leaving(codec_of("four bits, uneven groups"), VECTORS, QUERIES)
    with pytest.raises(BadInput, match=r"out: expected .* found .*; "):
        write_faiss(tmp_path / "out", left)
    assert list(tmp_path.iterdir()) == []


def test_the_ten_best_must_be_ours(tmp_path):
    left = leaving(codec_of("four bits"), VECTORS, QUERIES)
    true = left.scores(QUERIES)
    best = np.argsort(-true, axis=1)

    def search(queries, k):
        """All documents with nearly our scores, the sixth of each query's behind the tenth."""
        rows = best[[np.flatnonzero((query == QUERIES).all(axis=1))[0] for query in queries], :k].copy()
        rows[:, 5:11] = rows[:, [6, 7, 8, 9, 10, 5]]
        return rows, -np.sort(-left.scores(queries), axis=1)[:, :k]

    with pytest.raises(BadInput, match=r"expected 99% of the ten best as by our scores, found 90\.\d\d%; take codes"):
        agreement(tmp_path, left, search, left.scores, Rule(1.0, 0.99))
    assert agreement(tmp_path, left, search, left.scores, Rule(1.0, 0.9)).overlap == pytest.approx(0.9)


def test_a_wrong_centroid_of_fast_scan_is_refused(tmp_path):
    codec = fitted(PQ4, VECTORS, 8)
    left = leaving(codec, VECTORS, QUERIES)
    codec.score(QUERIES, left.codes)  # by the pairs of centroids, which are kept
    codec.inner.centroids[3] += 0.05
    with pytest.raises(BadInput, match=r"expected scores within 0\.005 of the largest"):
        write_faiss(tmp_path / "out", left)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FOURS)
def test_fast_scan_can_be_asked_among_chosen_documents(tmp_path, name):
    codec = codec_of(name)
    left = leaving(codec, VECTORS, QUERIES)
    write_faiss(tmp_path / "out", left)
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    inner = faiss.SearchParametersIVF(sel=faiss.IDSelectorBatch(np.arange(0, 1200, 7)), nprobe=1000)
    middle = faiss.IndexRefineSearchParameters(k_factor=4.0, base_index_params=inner)
    scores, rows = index.search(QUERIES, 10, params=faiss.SearchParametersPreTransform(index_params=middle))
    assert (rows % 7 == 0).all()
    ours = QUERIES @ codec.decode(left.codes[::7]).T
    assert (np.abs(scores - -np.sort(-ours, axis=1)[:, :10]) < 1e-4).mean() > 0.99


@pytest.mark.parametrize("name", ["pq", "residual, mapped"])
def test_the_index_can_be_asked_among_chosen_documents(tmp_path, name):
    codec = codec_of(name)
    left = leaving(codec, VECTORS, QUERIES)
    write_faiss(tmp_path / "out", left)
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    inner = faiss.SearchParametersIVF(sel=faiss.IDSelectorBatch(np.arange(0, 1200, 7)), nprobe=1000)
    outer = faiss.SearchParametersPreTransform(index_params=inner)
    scores, rows = index.search(QUERIES, 10, params=inner if name == "pq" else outer)
    ours = QUERIES @ codec.decode(left.codes[::7]).T
    np.testing.assert_allclose(scores, -np.sort(-ours, axis=1)[:, :10], atol=1e-4)
    assert (rows % 7 == 0).all()


def test_bits_keep_their_hamming_distances(tmp_path):
    codec = fitted(BINARY, VECTORS, 4)
    left = leaving(codec, VECTORS, QUERIES)
    assert write_faiss(tmp_path / "out", left).worst == 0
    index = faiss.read_index_binary(str(tmp_path / "out" / "index.faiss"))
    index.nprobe = 1000
    distances, rows = index.search(codec.encode(QUERIES), 1200)
    bits = lambda vectors: vectors > np.median(VECTORS, axis=0)  # noqa: E731
    naive = (bits(QUERIES)[:, None] != bits(VECTORS)[None]).sum(-1)
    np.testing.assert_array_equal(distances, np.take_along_axis(naive, rows, 1))


def test_lists_and_probes_are_kept(tmp_path):
    write_faiss(tmp_path / "out", leaving(codec_of("pq"), VECTORS, QUERIES), Lists(count=20, probes=3))
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    assert (index.nlist, index.nprobe, index.by_residual) == (20, 3, False)
    assert sum(index.invlists.list_size(number) > 0 for number in range(20)) > 10


@pytest.mark.parametrize(("documents", "lists"), [(1, 1), (38, 1), (10_000, 100), (1_000_000, 1000)])
def test_there_are_as_many_lists_as_documents_can_fill(documents, lists):
    assert Lists().among(documents) == lists


def test_one_wrong_centroid_is_refused_and_nothing_is_left(tmp_path):
    codec = fitted(PQ, VECTORS, 8)
    left = leaving(codec, VECTORS, QUERIES)
    ours = codec.score(QUERIES, left.codes)
    codec.centroids[3, left.codes[500, 3]] += 0.01
    with pytest.raises(BadInput, match=r"out: expected scores within 0.0001 of the largest.*document 'd.*off; make"):
        write_faiss(tmp_path / "out", replace(left, codec=Scoring(codec, QUERIES, ours)))
    assert list(tmp_path.iterdir()) == []


def test_one_wrong_code_of_one_document_is_refused(tmp_path):
    left = leaving(codec_of("pq"), VECTORS, QUERIES)
    ours = codec_of("pq").score(QUERIES, left.codes)
    left.codes[777, 2] += 1
    with pytest.raises(BadInput, match="document 'd777'"):
        write_faiss(tmp_path / "out", replace(left, codec=Scoring(codec_of("pq"), QUERIES, ours)))
    assert list(tmp_path.iterdir()) == []


def test_codebooks_that_are_no_numbers_are_refused(tmp_path):
    codec = fitted(PQ, VECTORS, 8)
    codec.centroids[0, 0] = np.nan
    with pytest.raises(BadInput, match="finite codebooks, found NaN or infinity"):
        write_faiss(tmp_path / "out", leaving(codec, VECTORS, QUERIES))


def test_codes_without_codebooks_are_refused_with_the_way_out(tmp_path):
    codec = fitted(FLOAT16, VECTORS, 64)
    with pytest.raises(
        BadInput, match="to faiss: expected codebooks of 256 centroids, or bits, found fake codes of 64"
    ):
        write_faiss(tmp_path / "out", leaving(codec, VECTORS, QUERIES))
    assert list(tmp_path.iterdir()) == []


def test_without_queries_nothing_is_proved_and_nothing_written(tmp_path):
    with pytest.raises(BadInput, match="queries to check the copy with"):
        write_faiss(tmp_path / "out", leaving(codec_of("pq"), VECTORS, QUERIES[:0]))
    assert list(tmp_path.iterdir()) == []


def test_few_documents_are_one_list(tmp_path):
    few = VECTORS[:300]
    assert write_faiss(tmp_path / "out", leaving(codec_of("pq"), few[:5], QUERIES[:1])).queries == 1
