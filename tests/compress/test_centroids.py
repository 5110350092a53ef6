"""Centroids that learn: even assignments, revival, affine moves, frozen ones; and the tree of very many."""

import numpy as np
import pytest
import torch
from test_learn import D, clustered

from nearfar.compress.codec import Sample
from nearfar.compress.health import CodebookMonitor, health
from nearfar.compress.learn.balance import balanced
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.learn.loop import learn
from nearfar.compress.learn.residual import ResidualBooks
from nearfar.compress.learn.tree import POINTS, _shares, tree_of
from nearfar.compress.learned_cascade import FIRST_BYTES
from nearfar.compress.learning import Learning
from nearfar.compress.registry import fit
from nearfar.core.ragged import Ragged


def skewed(count):
    """Squared errors of points to eight centroids, nearly all of which are nearest to the first two."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.uniform(1, 2, size=(count, 8)) + np.array([-0.9, -0.8, 0, 0, 0, 0, 0, 0])).float()


def test_balanced_assignments_use_every_centroid_alike():
    errors = skewed(800)
    assert torch.bincount(errors.argmin(dim=1), minlength=8).max() > 300
    counts = torch.bincount(balanced(errors, 0.01), minlength=8)
    assert counts.min() >= 80
    assert counts.max() <= 120


def test_balanced_assignments_cost_little_more_than_the_best_of_that_kind():
    from scipy.optimize import linear_sum_assignment

    errors = skewed(160)
    row, column = linear_sum_assignment(np.repeat(errors.numpy(), 20, axis=1))  # twenty places a centroid
    best = errors[row, column // 20].sum()
    found = errors.gather(1, balanced(errors, 0.002)[:, None]).sum()
    assert found < 1.05 * best


def test_without_pressure_the_nearest_is_taken():
    errors = torch.eye(8).repeat(20, 1) * -1 + 1  # even already
    assert balanced(errors, 0.01).tolist() == errors.argmin(dim=1).tolist()


def test_unused_centroids_move_to_their_anchors_and_used_ones_stay():
    start, anchors = torch.zeros(2, 4, 3), torch.ones(2, 4, 3)
    centroids = Centroids(start, Learning())
    centroids.count(torch.tensor([[0, 1], [1, 2], [2, 3]] * 10))  # nobody uses two
    centroids.revive(anchors)
    moved = centroids().detach()
    torch.testing.assert_close(moved[0, :3], start[0, :3])
    torch.testing.assert_close(moved[1, 1:], start[1, 1:])
    torch.testing.assert_close(moved[0, 3], anchors[0, 3], atol=2e-3, rtol=0)
    torch.testing.assert_close(moved[1, 0], anchors[1, 0], atol=2e-3, rtol=0)


def test_usage_is_a_moving_average():
    centroids = Centroids(torch.zeros(1, 2, 3), Learning())
    centroids.count(torch.tensor([[0], [0]]))
    centroids.count(torch.tensor([[1], [1]]))
    torch.testing.assert_close(centroids.usage, torch.tensor([[0.99, 0.01]]))


def test_revival_gives_dead_centroids_documents():
    documents = clustered(1500)
    books = torch.full((2, 256, D), 9.0)  # far from every document
    books[:, :4] = torch.from_numpy(documents[:4])
    used = {}
    for revive in (False, True):
        trained = ResidualBooks(books.clone(), learning=Learning(steps=100, revive=revive))
        learn(trained, Sample(documents, documents[:0], learning=Learning(steps=100, revive=revive)))
        used[revive] = health(trained.codec().encode(documents)).used
    assert used[False] < 0.1
    assert used[True] > 0.5


def test_each_round_is_told_and_dead_codebooks_raise_the_alarm():
    documents = clustered(1500)
    monitor = CodebookMonitor()
    learning = Learning(steps=60)
    fit("learned_residual", Sample(documents, documents[:0], learning=learning, watch=monitor.on_round), 3)
    assert [told.step for told in monitor.rounds] == [25, 50, 60]
    assert not monitor.alarms
    dead = ResidualBooks(torch.full((3, 256, D), 9.0), learning=learning)
    learn(dead, Sample(documents, documents[:0], learning=learning, watch=(monitor := CodebookMonitor()).on_round))
    assert "of the centroids stand for hardly anything" in monitor.alarms["dead"]


def test_a_cascade_tells_of_its_codebooks_alone():
    monitor = CodebookMonitor()
    sample = Sample(clustered(5000), clustered(9, seed=3), learning=Learning(steps=3), watch=monitor.on_round)
    fit("learned_cascade", sample, 4)
    assert monitor.rounds[-1].step == 3


def test_frozen_codebooks_stay_and_the_others_move():
    documents = clustered(600)
    start = torch.from_numpy(clustered(3 * 256, seed=2)).view(3, 256, D)
    books = ResidualBooks(start, learning=Learning(steps=5, frozen=2))
    learn(books, Sample(documents, documents[:50], learning=Learning(steps=5, frozen=2)))
    now = books.centroids().detach()
    torch.testing.assert_close(now[:2], start[:2], rtol=0, atol=0)
    assert (now[2] != start[2]).any()


def test_affine_moves_reach_centroids_without_documents():
    start = torch.randn(1, 8, D, generator=torch.Generator().manual_seed(0))
    plain, affine = Centroids(start, Learning()), Centroids(start, Learning(affine=True))
    for centroids in (plain, affine):
        centroids()[0, 0].sum().backward()  # the first alone has documents
    assert plain.learning()[0].grad[0, 1:].abs().sum() == 0
    _, scale, shift = affine.learning()
    torch.testing.assert_close(affine(), plain())  # it begins as it was
    torch.testing.assert_close(scale.grad[0, 0], start[0, 0])
    torch.testing.assert_close(shift.grad[0, 0], torch.ones(D))


@pytest.mark.parametrize("setting", [{"mined": True}, {"alternate": True}, {"balance": 0.05}, {"affine": True},
                                     {"contrast": 0.3}, {"steps": 60}])  # fmt: skip
@pytest.mark.parametrize("name", ["learned_product", "learned_residual"])
def test_every_setting_learns(name, setting):
    documents, queries = clustered(1200), clustered(300, seed=3)
    labels = Ragged.of([[row] for row in range(len(queries))])
    found, plain, start = (
        fit(name, Sample(documents, queries, labels, learning=Learning(**{"steps": 50, **changes})), 4)
        for changes in (setting, {}, {"steps": 0})
    )
    assert (found.codebooks != plain.codebooks).any()  # it does something
    assert error(found, documents) < 1.5 * error(start, documents)


def error(codec, documents):
    return np.square(documents - codec.decode(codec.encode(documents))).sum(axis=1).mean()


def test_the_nearest_centroid_of_a_tree_is_that_of_all():
    vectors = clustered(20_000)
    tree = tree_of(torch.from_numpy(vectors), torch.Generator().manual_seed(0))
    assert len(tree.centroids) == 20_000 // POINTS
    some = vectors[:2000]
    exact = ((some[:, None] - tree.centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (tree.nearest(some) == exact).mean() > 0.99


def test_a_tree_leaves_no_centroid_without_vectors():
    vectors = clustered(20_000)
    tree = tree_of(torch.from_numpy(vectors), torch.Generator().manual_seed(0))
    assert len(np.unique(tree.nearest(vectors))) >= 0.99 * len(tree.centroids)


def test_shares_add_up():
    sizes = torch.tensor([5, 0, 90, 31])
    shares = _shares(sizes, 17)
    assert sum(shares) == 17
    assert all(abs(share - 17 * int(size) / 126) < 1 for share, size in zip(shares, sizes, strict=True))


def test_a_cascade_is_its_first_centroid_and_the_code_of_the_rest():
    documents = clustered(5000)
    codec = fit("learned_cascade", Sample(documents, clustered(300, seed=3), learning=Learning(steps=30)), 5)
    codes = codec.encode(documents[:50])
    first = codes[:, :FIRST_BYTES].copy().view("<u2")[:, 0].astype(int)
    assert len(codec.tree.centroids) == 5000 // POINTS  # more than a byte can name
    for row, code in enumerate(first):
        rest = codec.inner.inner.decode(codes[row : row + 1, FIRST_BYTES:])[0]
        naive = (codec.tree.centroids[code] + rest) @ codec.inner.query_map
        np.testing.assert_allclose(codec.decode(codes[row : row + 1])[0], naive, atol=1e-5)
