"""What learning is made of, against naive loops; and what it is for: scores that keep the order of documents."""

import numpy as np
import pytest
import torch

from nearfar.compress.codec import Sample
from nearfar.compress.learn.batches import Batch
from nearfar.compress.learn.kmeans import nearest, progressive_kmeans
from nearfar.compress.learn.loop import Objective, _loss, learn
from nearfar.compress.learn.residual import ResidualBooks
from nearfar.compress.learn.residual_start import start_residual
from nearfar.compress.learning import Learning
from nearfar.compress.registry import fit
from nearfar.compress.residual import Residual

D = 24


def clustered(count, seed=0, dimension=D):
    """Unit vectors around forty places."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(9).normal(size=(40, dimension))
    vectors = places[rng.integers(40, size=count)] + 0.4 * rng.normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_nearest_is_that_of_a_loop():
    points, centroids = torch.from_numpy(clustered(50)), torch.from_numpy(clustered(7, seed=1))
    naive = [min(range(7), key=lambda k: float((point - centroids[k]).square().sum())) for point in points]
    assert nearest(points, centroids).tolist() == naive


def test_kmeans_uses_every_centroid_and_is_better_than_drawn_ones():
    points = torch.from_numpy(clustered(2000))
    found = progressive_kmeans(points, 64, torch.Generator().manual_seed(0))
    assert len(nearest(points, found).unique()) == 64
    error, drawn = (float((points - c[nearest(points, c)]).square().sum(dim=1).mean()) for c in (found, points[:64]))
    assert error < 0.9 * drawn


def test_kmeans_of_equal_points_stays_finite():
    found = progressive_kmeans(torch.ones(300, D), 256, torch.Generator().manual_seed(0))
    assert torch.isfinite(found).all()


def test_each_codebook_takes_what_is_left():
    vectors = torch.from_numpy(clustered(1500))
    books = start_residual(vectors, 4, torch.Generator().manual_seed(0))
    errors = []
    for number in range(1, 5):
        codec = Residual(books[:number].numpy())
        errors.append(np.square(vectors.numpy() - codec.decode(codec.encode(vectors.numpy()))).sum(axis=1).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_the_loss_is_its_formula():
    queries, documents = torch.from_numpy(clustered(3, seed=1)), torch.from_numpy(clustered(5, seed=2))
    books = ResidualBooks(start_residual(torch.from_numpy(clustered(600)), 2, torch.Generator().manual_seed(0)))
    positives = torch.tensor([4, 0, 2])
    batch = Batch(queries, torch.arange(5), positives)
    found = _loss(books, batch, documents, books.codes(documents), Objective(1.0, 3.0, 0.5, 0.05))
    codec = Residual(books.centroids().detach().numpy())
    standing = codec.decode(codec.encode(documents.numpy())).astype(np.float64)
    divergence = contrast = 0.0
    for q, query in enumerate(queries.numpy().astype(np.float64)):
        full, coded = (np.exp(part @ query / 0.05) for part in (documents.numpy().astype(np.float64), standing))
        p, s = full / full.sum(), coded / coded.sum()
        divergence += float((p * np.log(p / s)).sum()) / 3
        contrast -= float(np.log(s[positives[q]])) / 3
    error = float(np.square(standing - documents.numpy()).sum(axis=1).mean())
    assert float(found.detach()) == pytest.approx(divergence + 3 * error + 0.5 * contrast, rel=1e-4)


def test_learning_lowers_the_loss_on_other_queries():
    documents = clustered(1200)
    queries = clustered(400, seed=3)
    books = ResidualBooks(start_residual(torch.from_numpy(documents), 3, torch.Generator().manual_seed(0)))
    others, some = torch.from_numpy(clustered(100, seed=4)), torch.from_numpy(documents[:600])

    def loss():
        batch = Batch(others, torch.arange(600), torch.zeros(100, dtype=torch.long))
        return float(_loss(books, batch, some, books.codes(some), Objective(1.0, 10.0, 0.0, 0.05)).detach())

    before = loss()
    learn(books, Sample(documents, queries))
    assert loss() < 0.95 * before


@pytest.mark.parametrize("queries", [clustered(400, seed=3), np.empty((0, D), np.float32)], ids=["queries", "none"])
@pytest.mark.parametrize(("name", "start"), [("learned_residual", "opq"), ("learned_product", "opq")])
def test_more_of_the_nearest_documents_are_kept_than_by_opq(name, start, queries):
    documents, asked = clustered(3000), clustered(200, seed=5)
    sample = Sample(documents, queries)
    kept = {codec: _overlap(fit(codec, sample, 4), documents, asked) for codec in (name, start)}
    assert kept[name] > kept[start]


def _overlap(codec, documents, queries):
    """Share of the ten nearest documents that are among the ten by codes."""
    full = np.argsort(-(queries @ documents.T), axis=1)[:, :10]
    coded = np.argsort(-codec.score(queries, codec.encode(documents)), axis=1)[:, :10]
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(full.tolist(), coded.tolist(), strict=True)])


def test_many_bytes_stay_as_clustering_made_them_unless_they_are_told_to_learn():
    documents, queries = clustered(400, dimension=40), clustered(50, seed=3, dimension=40)
    start = start_residual(torch.from_numpy(documents), 32, torch.Generator().manual_seed(0)).numpy()
    stays = fit("learned_residual", Sample(documents, queries), 32)
    learns = fit("learned_residual", Sample(documents, queries, learning=Learning(steps=3)), 32)
    as_usual = fit("learned_residual", Sample(documents, queries, learning=Learning(steps=200)), 32)
    np.testing.assert_array_equal(stays.codebooks, start)
    assert (learns.codebooks != start).any()
    assert (as_usual.codebooks != learns.codebooks).any()
