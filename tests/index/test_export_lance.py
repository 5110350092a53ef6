import json
from dataclasses import replace

import numpy as np
import pytest
from coded import QUERIES as MANY
from coded import VECTORS, Scoring, codec_of, fitted, leaving

from nearfar.compress.binary import BINARY
from nearfar.compress.product import PQ
from nearfar.compress.residual import RQ
from nearfar.core.errors import BadInput
from nearfar.index.export_form import Codebooks
from nearfar.index.export_lance import settled, write_lance

QUERIES = MANY[:20]


@pytest.mark.parametrize("name", ["pq", "pq, uneven groups", "opq", "mapped", "four bits"])
def test_a_stranger_who_opens_the_dataset_gets_our_scores_as_distances(tmp_path, name):
    lance = pytest.importorskip("lance", reason="pylance is not installed")
    codec = codec_of(name)
    left = leaving(codec, VECTORS, QUERIES)
    assert write_lance(tmp_path / "out", left).worst < 1e-4
    dataset, map_ = lance.dataset(str(tmp_path / "out" / "documents.lance")), tmp_path / "out" / "query_map.npy"
    assert map_.exists() == (name != "pq")
    asked = QUERIES @ np.load(map_).T if map_.exists() else QUERIES
    ours = QUERIES @ codec.decode(left.codes).T
    for query, expected in zip(asked, ours, strict=True):
        nearest = {"column": "vector", "q": query, "k": 1200, "nprobes": 1000}
        table = dataset.to_table(columns=["id", "_distance"], nearest=nearest)
        rows = [left.ids.index(key) for key in table["id"].to_pylist()]
        np.testing.assert_allclose(1 - table["_distance"].to_numpy(), expected[rows], atol=1e-4 * np.abs(ours).max())
        assert sorted(rows) == list(range(1200))


def test_vectors_are_kept_beside_the_index(tmp_path):
    lance = pytest.importorskip("lance", reason="pylance is not installed")
    codec = codec_of("opq")
    write_lance(tmp_path / "out", leaving(codec, VECTORS, QUERIES))
    column = lance.dataset(str(tmp_path / "out" / "documents.lance")).to_table(columns=["vector"])["vector"]
    held = np.array(column.to_pylist(), np.float32)
    away = np.abs(held - VECTORS @ codec.matrix.T).reshape(-1, 4).max(axis=1)
    assert (away > 1e-6).mean() < 1e-3  # slices with two centroids as near as each other


def test_a_slice_whose_code_is_not_surely_nearest_is_stored_as_the_centroid():
    codec = codec_of("pq")
    codes = codec.encode(VECTORS[300:500])
    codes[7, 2] += 1
    held = settled(VECTORS[300:500], Codebooks.of("fake", codec, "test"), codes)
    moved = np.argwhere((held != VECTORS[300:500]).reshape(-1, 8, 4).any(axis=2))
    assert [7, 2] in moved.tolist()
    assert len(moved) < 5  # others have two centroids as near as each other
    np.testing.assert_array_equal(held[7, 8:12], codec.centroids[2, codes[7, 2]])


def test_codes_that_are_not_the_nearest_are_kept_all_the_same(tmp_path):
    left = leaving(codec_of("opq"), VECTORS, QUERIES)
    drawn = np.random.default_rng(0).integers(0, 256, left.codes.shape).astype(np.uint8)
    assert write_lance(tmp_path / "out", replace(left, codes=drawn)).worst < 1e-4


def test_one_wrong_centroid_is_refused_and_nothing_is_left(tmp_path):

    codec = fitted(PQ, VECTORS, 8)
    left = leaving(codec, VECTORS, QUERIES)
    ours = codec.score(QUERIES, left.codes)
    codec.centroids[3, left.codes[500, 3]] += 0.01
    with pytest.raises(BadInput, match=r"out: expected scores within .* off; make the codes again"):
        write_lance(tmp_path / "out", replace(left, codec=Scoring(codec, QUERIES, ours)))
    assert list(tmp_path.iterdir()) == []


def test_codes_that_lance_cannot_hold_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(BadInput, match=r"slice of the vector for a codebook, found fake codes of 4 bytes.*to faiss"):
        write_lance(tmp_path / "out", leaving(fitted(RQ, VECTORS, 4), VECTORS, QUERIES))
    with pytest.raises(BadInput, match=r"expected product codes, found fake codes of 4 bytes.*faiss or pgvector"):
        write_lance(tmp_path / "out", leaving(fitted(BINARY, VECTORS, 4), VECTORS, QUERIES))
    with pytest.raises(BadInput, match="the documents' vectors"):
        write_lance(tmp_path / "out", replace(leaving(codec_of("pq"), VECTORS, QUERIES), vectors=None))


def test_what_is_known_of_the_codes_goes_with_them(tmp_path):
    write_lance(tmp_path / "out", leaving(codec_of("pq"), VECTORS, QUERIES))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["kind"], manifest["meta"]) == ("export", {"codec": "fake", "to": "lance"})
