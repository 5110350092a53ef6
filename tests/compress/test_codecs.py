"""What every registered codec keeps, whatever it makes of vectors; and what the registry refuses."""

from functools import cache

import faiss
import numpy as np
import pytest

from nearfar.compress.check import check_vectors
from nearfar.compress.codec import Sample
from nearfar.compress.registry import CODECS, fit, kind_of
from nearfar.core.errors import BadInput, DimensionMismatch
from nearfar.core.ragged import Ragged
from nearfar.index.codec_folder import open_codec, save_codec

D = 32
FITTED = 600


def drawn(count, dimension=D, seed=0):
    """Unit vectors off the origin, of falling variance: a Matryoshka model's, more or less."""
    spread = np.arange(1, dimension + 1) ** -1.0
    vectors = (np.random.default_rng(seed).normal(size=(count, dimension)) + 0.5) * spread
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def sample(count=FITTED, dimension=D):
    """Documents, and queries near the first fifty of them."""
    documents = drawn(count, dimension)
    asked = min(50, count)
    queries = documents[:asked] + 0.1 * drawn(asked, dimension, seed=2)
    return Sample(documents, queries, Ragged.of([[row] for row in range(asked)]))


def some_sizes(name, dimension=D):
    """A small, a middling and the largest size; of what is learnt, which takes time, two small ones."""
    sizes = list(kind_of(name).sizes(dimension))
    if kind_of(name).learned:
        return [sizes[1], sizes[len(sizes) // 8]]
    return sorted({sizes[len(sizes) // 8], sizes[len(sizes) // 2], sizes[-1]})


CASES = [(name, size) for name in CODECS for size in some_sizes(name)]
fitted = cache(lambda name, size: fit(name, sample(), size))
QUERIES, DOCUMENTS = drawn(20, seed=3), drawn(300, seed=4)
of_every_size = pytest.mark.parametrize(("name", "size"), CASES)
of_every_codec = pytest.mark.parametrize("name", CODECS)


@of_every_size
def test_size_is_known_before_fitting(name, size):
    codec = fitted(name, size)
    codes = codec.encode(DOCUMENTS)
    assert codes.dtype == np.uint8
    assert codes.shape == (len(DOCUMENTS), size)
    assert (codec.dimension, codec.size_bytes) == (D, size)


@of_every_size
def test_score_is_the_inner_product_with_what_is_decoded(name, size):
    codec = fitted(name, size)
    codes = codec.encode(DOCUMENTS)
    scores = codec.score(QUERIES, codes)
    assert (scores.dtype, codec.decode(codes).dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(scores, QUERIES @ codec.decode(codes).T, atol=1e-4)


@of_every_codec
def test_blocks_change_nothing(name):
    codec = fitted(name, some_sizes(name)[0])
    codes = np.tile(codec.encode(DOCUMENTS), (60, 1))  # several blocks of codes, and of queries
    queries = drawn(70, seed=5)
    once = codec.score(queries, codes[: len(DOCUMENTS)])
    np.testing.assert_allclose(codec.score(queries, codes), np.tile(once, 60), atol=1e-5)


@of_every_codec
def test_codes_depend_on_nothing_but_the_sample_and_the_vector(name):
    size = some_sizes(name)[0]
    codec, again = fitted(name, size), fit(name, sample(), size)
    codes = codec.encode(DOCUMENTS)
    np.testing.assert_array_equal(codes, codec.encode(DOCUMENTS))
    np.testing.assert_array_equal(codes, again.encode(DOCUMENTS))
    apart = codec.decode(codec.encode(DOCUMENTS[:7])) - codec.decode(codes[:7])
    assert np.abs(apart).mean() < 1e-4  # a matrix product of other rows rounds otherwise


@of_every_codec
def test_it_takes_no_vectors_and_mapped_and_strided_ones(name):
    codec = fitted(name, some_sizes(name)[0])
    codes = codec.encode(DOCUMENTS)
    assert codec.encode(DOCUMENTS[:0]).shape == (0, codec.size_bytes)
    assert codec.decode(codes[:0]).shape == (0, D)
    assert codec.score(QUERIES, codes[:0]).shape == (len(QUERIES), 0)
    assert codec.score(QUERIES[:0], codes).shape == (0, len(codes))
    strided = np.repeat(DOCUMENTS, 2, axis=0)[::2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(codes, codec.encode(strided))


@of_every_size
def test_a_folder_gives_back_the_same_codec(name, size, tmp_path):
    codec = fitted(name, size)
    save_codec(tmp_path / "codec", name, codec, "f00d")
    opened = open_codec(tmp_path / "codec", "f00d")
    codes = codec.encode(DOCUMENTS)
    assert (opened.dimension, opened.size_bytes) == (D, size)
    np.testing.assert_array_equal(opened.encode(DOCUMENTS), codes)
    np.testing.assert_array_equal(opened.decode(codes), codec.decode(codes))
    np.testing.assert_array_equal(opened.score(QUERIES, codes), codec.score(QUERIES, codes))


@of_every_codec
def test_codes_say_more_than_the_mean_vector_and_more_bytes_say_more(name):
    errors = [distance(DOCUMENTS, fitted(name, size)) for size in some_sizes(name)]
    mean = sample().vectors.mean(axis=0)
    assert errors[0] < 0.9 * np.square(DOCUMENTS - mean).sum(axis=1).mean()
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == len(errors)


def distance(vectors, codec):
    return np.square(vectors - codec.decode(codec.encode(vectors))).sum(axis=1).mean()


@of_every_codec
def test_another_dimension_is_refused(name):
    codec = fitted(name, some_sizes(name)[0])
    codes = codec.encode(DOCUMENTS)
    for call in (
        lambda: codec.encode(DOCUMENTS[:, :-1]),
        lambda: codec.score(QUERIES[:, 1:], codes),
        lambda: codec.decode(np.pad(codes, ((0, 0), (0, 1)))),
        lambda: codec.score(QUERIES, codes[:, 1:]),
    ):
        with pytest.raises(DimensionMismatch, match="codec: expected"):
            call()


@of_every_codec
def test_it_says_how_many_documents_it_needs(name):
    size = some_sizes(name)[-1]
    needed = max(1, kind_of(name).fewest(size))
    assert fit(name, sample(needed), size).size_bytes == size
    if needed > 1:
        with pytest.raises(BadInput, match=rf"at least {needed} documents to fit {size} bytes to, found {needed - 1};"):
            fit(name, sample(needed - 1), size)


@of_every_codec
def test_a_sample_that_no_longer_varies_is_no_trouble(name):
    alike = np.tile(drawn(1), (300, 1))
    codec = fit(name, Sample(alike, alike[:1], Ragged.of([[0]])), some_sizes(name)[-1])
    np.testing.assert_allclose(codec.decode(codec.encode(alike[:3])), alike[:3], atol=2e-3)


@pytest.mark.parametrize("dimension", [384, 100, 7])
@of_every_codec
def test_sizes_rise(name, dimension):
    sizes = list(kind_of(name).sizes(dimension))
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= 1


@pytest.mark.parametrize(("dimension", "size"), [(384, 8), (384, 64), (384, 96), (100, 16), (37, 36)])
def test_product_codes_of_any_number_of_groups(dimension, size):
    codec = fit("pq", sample(256, dimension), size)
    vectors = sample(256, dimension).vectors  # as many as centroids: each is one
    np.testing.assert_allclose(codec.decode(codec.encode(vectors)), vectors, atol=1e-5)


def test_a_rotation_of_odd_dimensions_keeps_inner_products():
    codec = fit("opq", sample(256, 20), 6)
    matrix = codec.state()["matrix"]
    assert matrix.shape == (24, 20)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(20), atol=1e-5)


@pytest.mark.parametrize("dimension", [32, 20])
def test_four_bit_codes_are_those_of_faiss(dimension):
    vectors, queries = drawn(300, dimension, seed=4), drawn(20, dimension, seed=3)
    codec = fit("pq4", sample(dimension=dimension), 3)
    matrix, centroids = codec.state()["matrix"], codec.state()["inner.centroids"]
    assert centroids.shape == (6, 16, -(-dimension // 6))
    index = faiss.IndexPQ(len(matrix), 6, 4, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(centroids.ravel(), index.pq.centroids)
    index.is_trained = True
    index.add(vectors @ matrix.T)
    found, rows = index.search(queries @ matrix.T, len(vectors))
    codes = codec.encode(vectors)
    np.testing.assert_array_equal(faiss.vector_to_array(index.codes).reshape(-1, 3), codes)
    np.testing.assert_allclose(np.take_along_axis(codec.score(queries, codes), rows, axis=1), found, atol=1e-5)


@pytest.mark.parametrize(("name", "count"), [("opq", 256), ("pq4", 16)])
def test_a_rotation_is_fitted_to_fewer_documents_than_dimensions(name, count):
    few = sample(count, 300)
    codec = fit(name, few, 7)
    matrix = codec.state()["matrix"]
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(300), atol=1e-4)
    assert distance(few.vectors, codec) < 0.9 * np.square(few.vectors - few.vectors.mean(axis=0)).sum(axis=1).mean()


def test_product_codes_are_those_of_faiss():
    codec = fitted("pq", 16)
    index = faiss.IndexPQ(D, 16, 8, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.seed = 0
    index.train(sample().vectors)
    np.testing.assert_array_equal(codec.state()["centroids"].ravel(), faiss.vector_to_array(index.pq.centroids))
    np.testing.assert_array_equal(codec.encode(DOCUMENTS), index.sa_encode(DOCUMENTS))
    index.add(DOCUMENTS)
    np.testing.assert_allclose(np.sort(codec.score(QUERIES, codec.encode(DOCUMENTS)))[:, ::-1][:, :10],
                               index.search(QUERIES, 10)[0], atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("dimension", [32, 20])
def test_grid_scores_are_those_of_faiss(dimension, bits):
    from nearfar.compress.rabitq import Grid

    vectors, queries = drawn(300, dimension, seed=4), drawn(20, dimension, seed=3)
    codec = Grid(dimension, bits)
    codes = codec.encode(vectors)
    index = faiss.IndexRaBitQ(dimension, faiss.METRIC_INNER_PRODUCT, bits)
    faiss.copy_array_to_vector(np.zeros(dimension, np.float32), index.center)
    index.is_trained = True
    index.add_sa_codes(codes)
    exactly = faiss.RaBitQSearchParameters()
    exactly.qb = 0  # queries as they are
    found, rows = index.search(queries, len(vectors), params=exactly)
    np.testing.assert_allclose(np.take_along_axis(codec.score(queries, codes), rows, axis=1), found, atol=1e-4)


def test_truncated_vectors_keep_their_length():
    codec = fitted("truncate", 16)
    decoded = codec.decode(codec.encode(DOCUMENTS))
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=0.02)
    assert not decoded[:, 16:].any()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("pg", 8, "codec: expected a known one, found 'pg'; did you mean 'pq'?"),
        ("pq", 0, "'pq': expected a size that it has for 32 dimensions, found 0 bytes; choose 1$"),
        ("pq", 33, "found 33 bytes; choose 32$"),
        ("rabitq", 13, "found 13 bytes; choose 12 or 22$"),
        ("binary", 5, "found 5 bytes; choose 4$"),
    ],
)
def test_what_it_has_not_is_refused_with_the_nearest(name, size, message):
    with pytest.raises(BadInput, match=message):
        fit(name, sample(), size)


@pytest.mark.parametrize(("value", "found"), [(np.nan, "NaN"), (np.inf, "infinity"), (0, "only zeros")])
def test_the_first_bad_vector_is_named(value, found):
    vectors = drawn(9)
    vectors[4], vectors[6] = value, value
    with pytest.raises(BadInput, match=f"document 'e': expected a finite vector that is not zero, found {found};"):
        check_vectors(vectors, list("abcdefghi"))
    with pytest.raises(BadInput, match=f"document of row 4: .* found {found};"):
        fit("int8", Sample(vectors, QUERIES), D)
    with pytest.raises(BadInput, match=f"query of row 4: .* found {found};"):
        fit("int8", Sample(DOCUMENTS, vectors), D)


def test_queries_of_another_dimension_are_refused():
    with pytest.raises(DimensionMismatch, match="expected 32-d queries as its documents are"):
        fit("int8", Sample(DOCUMENTS, QUERIES[:, :-1]), D)
