import numpy as np
import pytest

from nearfar.core.ragged import Ragged
from nearfar.diagnose.spaces import DEPTH, Spaces, cosines, draw, linear_cka, procrustes_residual, ranks


def cloud(rows=80, dimension=6, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def rotation(dimension, seed=1):
    return np.linalg.qr(cloud(dimension, dimension, seed))[0].astype(np.float32)


def naive_cka(first, second):
    """The centred kernels' inner product over their norms (Kornblith et al., 2019, eq. 1 and 3)."""
    n = len(first)
    centre = np.eye(n) - np.ones((n, n)) / n
    a, b = (centre @ (part @ part.T) @ centre for part in (first.astype(float), second.astype(float)))
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.parametrize("width", [6, 9])
def test_cka_is_that_of_the_kernels(width):
    first, second = cloud(), cloud(dimension=width, seed=3) + cloud()[:, :1]
    assert linear_cka(first, second) == pytest.approx(naive_cka(first, second), abs=1e-6)


def test_a_turned_space_is_the_same_to_cka_and_procrustes_alone():
    first = cloud()
    turned = first @ rotation(6)
    assert linear_cka(first, turned) == pytest.approx(1, abs=1e-5)
    assert procrustes_residual(first, turned) == pytest.approx(0, abs=1e-5)
    assert cosines(first, turned).mean() < 0.9


def test_cosines_of_rows():
    first = np.array([[3, 4], [1, 0], [0, 0], [0, 0]], np.float32)
    second = np.array([[4, 3], [-2, 0], [0, 0], [1, 0]], np.float32)
    np.testing.assert_allclose(cosines(first, second), [0.96, -1, 1, 0], atol=1e-6)


def test_procrustes_pads_and_does_not_flatter():
    first = cloud()
    assert procrustes_residual(np.pad(first, ((0, 0), (0, 2))) @ rotation(8), first) == pytest.approx(0, abs=1e-5)
    assert procrustes_residual(first, cloud(seed=9)) > 0.8  # fitted on one half, asked on the other
    assert np.isnan(procrustes_residual(first[:11], first[:11]))


def test_ranks_are_those_of_a_sorted_list():
    queries, documents = cloud(20, 4, 1), cloud(40, 4, 2)
    relevant = Ragged.of([[i, 39 - i] for i in range(20)])
    found = ranks(queries, documents, relevant)
    for row in range(20):
        best = sorted(range(40), key=lambda d, row=row: -float(documents[d] @ queries[row]))[:DEPTH]
        hits = [d in set(relevant[row].tolist()) for d in best]
        gain = sum(1 / np.log2(place + 2) for place, hit in enumerate(hits) if hit)
        assert found["recall"][row] == sum(hits) / 2
        assert found["ndcg"][row] == pytest.approx(gain / (1 + 1 / np.log2(3)))


def test_what_is_no_number_is_not_found():
    documents = np.eye(3, dtype=np.float32)
    documents[1] = np.nan
    found = ranks(np.eye(3, dtype=np.float32), documents, Ragged.of([[0], [1], [2]]))
    assert found["recall"].tolist() == [1, 0, 1]
    nothing = ranks(np.full((1, 3), np.nan, np.float32), documents, Ragged.of([[0]]))
    assert nothing["recall"].tolist() == [0]


def test_cells_need_queries_and_one_dimension():
    relevant = Ragged.of([[0]])
    whole = Spaces(cloud(5), cloud(5), cloud(1), cloud(1), relevant)
    assert list(whole.cells()) == [f"{q}_queries_{d}_documents" for q in ("old", "new") for d in ("old", "new")]
    without = Spaces(cloud(5), cloud(5), None, cloud(1), relevant)
    assert list(without.cells()) == ["new_queries_old_documents", "new_queries_new_documents"]
    wider = Spaces(cloud(5), cloud(5, 9), cloud(1), cloud(1, 9), relevant)
    assert list(wider.cells()) == ["old_queries_old_documents", "new_queries_new_documents"]


@pytest.mark.parametrize(("queries", "most"), [(100, 50), (7, 50), (100, 12), (100, 1)])
def test_a_draw_holds_all_that_is_relevant(queries, most):
    relevant = Ragged.of([[i, (3 * i) % 90] for i in range(30)])
    part = draw(relevant, 90, queries=queries, most=most)
    assert len(part.documents) <= most
    assert len(part.queries) == len(part.relevant) <= queries
    assert np.all(np.diff(part.documents) > 0)
    for place, row in enumerate(part.queries):
        assert part.documents[part.relevant[place]].tolist() == relevant[row].tolist()


def test_a_draw_fills_up_with_others():
    assert len(draw(Ragged.of([[3]]), 90, most=40).documents) == 40
    assert draw(Ragged.of([]), 5).documents.tolist() == [0, 1, 2, 3, 4]
    assert len(draw(Ragged.of([[3]] * 4), 90).queries) == 4
