import json
from dataclasses import replace

import faiss
import numpy as np
import pytest
from coded import BitCodec, ProductCodec, ResidualCodec, clustered, leaving, rotation

from nearfar.core.errors import BadInput
from nearfar.index.export_faiss import Lists, write_faiss

VECTORS, QUERIES = clustered(1200, 32), clustered(60, 32, seed=1)


def codecs():
    wide = rotation(48, 32)
    return {
        "product": ProductCodec(VECTORS, 8),
        "rotated": ProductCodec(VECTORS, 8, rotation(32, 32)),
        "wider": ProductCodec(VECTORS, 8, wide),
        "mapped": ProductCodec(VECTORS, 8, rotation(32, 32), rotation(32, 32, seed=6) * 1.5),
        "residual": ResidualCodec(32, 4),
        "residual, mapped": ResidualCodec(32, 4, rotation(32, 32)),
        "one book": ResidualCodec(32, 1),
    }


@pytest.mark.parametrize("name", codecs())
def test_a_stranger_who_reads_the_file_gets_our_scores_and_order_from_plain_queries(tmp_path, name):
    codec = codecs()[name]
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


@pytest.mark.parametrize("name", ["product", "residual, mapped"])
def test_the_index_can_be_asked_among_chosen_documents(tmp_path, name):
    codec = codecs()[name]
    left = leaving(codec, VECTORS, QUERIES)
    write_faiss(tmp_path / "out", left)
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    inner = faiss.SearchParametersIVF(sel=faiss.IDSelectorBatch(np.arange(0, 1200, 7)), nprobe=1000)
    outer = faiss.SearchParametersPreTransform(index_params=inner)
    scores, rows = index.search(QUERIES, 10, params=inner if name == "product" else outer)
    ours = QUERIES @ codec.decode(left.codes[::7]).T
    np.testing.assert_allclose(scores, -np.sort(-ours, axis=1)[:, :10], atol=1e-4)
    assert (rows % 7 == 0).all()


def test_bits_keep_their_hamming_distances(tmp_path):
    codec = BitCodec(32)
    left = leaving(codec, VECTORS, QUERIES)
    assert write_faiss(tmp_path / "out", left).worst == 0
    index = faiss.read_index_binary(str(tmp_path / "out" / "index.faiss"))
    index.nprobe = 1000
    distances, rows = index.search(codec.encode(QUERIES), 1200)
    bits = lambda vectors: vectors > 0  # noqa: E731
    naive = (bits(QUERIES)[:, None] != bits(VECTORS)[None]).sum(-1)
    np.testing.assert_array_equal(distances, np.take_along_axis(naive, rows, 1))


def test_lists_and_probes_are_kept(tmp_path):
    write_faiss(tmp_path / "out", leaving(ProductCodec(VECTORS, 8), VECTORS, QUERIES), Lists(count=20, probes=3))
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    assert (index.nlist, index.nprobe, index.by_residual) == (20, 3, False)
    assert sum(index.invlists.list_size(number) > 0 for number in range(20)) > 10


@pytest.mark.parametrize(("documents", "lists"), [(1, 1), (38, 1), (10_000, 100), (1_000_000, 1000)])
def test_there_are_as_many_lists_as_documents_can_fill(documents, lists):
    assert Lists().among(documents) == lists


class Corrupt(ProductCodec):
    """Scores by other codebooks than it gives away."""

    def score(self, queries, codes):
        kept, self.codebooks = self.codebooks, self.codebooks.copy()
        self.codebooks[3, codes[5, 3]] *= -1
        scores = super().score(queries, codes)
        self.codebooks = kept
        return scores


def test_one_wrong_centroid_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(BadInput, match=r"out: expected scores within 0.0001 of the largest.*document 'd.*off; make"):
        write_faiss(tmp_path / "out", leaving(Corrupt(VECTORS, 8), VECTORS, QUERIES))
    assert list(tmp_path.iterdir()) == []


def test_one_wrong_code_is_refused(tmp_path):
    left = leaving(ProductCodec(VECTORS, 8), VECTORS, QUERIES)
    other = left.codes.copy()
    other[777, 2] += 1

    class Other(Corrupt):
        def score(self, queries, codes):
            return ProductCodec.score(self, queries, other)

    with pytest.raises(BadInput, match="document 'd777'"):
        write_faiss(tmp_path / "out", replace(left, codec=Other(VECTORS, 8)))


def test_codebooks_that_are_no_numbers_are_refused(tmp_path):
    codec = ProductCodec(VECTORS, 8)
    codec.codebooks[0, 0] = np.nan
    with pytest.raises(BadInput, match="finite codebooks, found NaN or infinity"):
        write_faiss(tmp_path / "out", leaving(codec, VECTORS, QUERIES))


def test_without_queries_nothing_is_proved_and_nothing_written(tmp_path):
    with pytest.raises(BadInput, match="queries to check the copy with"):
        write_faiss(tmp_path / "out", leaving(ProductCodec(VECTORS, 8), VECTORS, QUERIES[:0]))
    assert list(tmp_path.iterdir()) == []


def test_few_documents_are_one_list(tmp_path):
    few = VECTORS[:300]
    assert write_faiss(tmp_path / "out", leaving(ProductCodec(few, 8), few[:5], QUERIES[:1])).queries == 1
