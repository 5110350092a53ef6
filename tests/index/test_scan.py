"""The loops of a search over codes against naive ones."""

import numpy as np
import pytest

from nearfar.compress.codec import Sample
from nearfar.compress.registry import fit
from nearfar.index.cells import Cells, Coder

D, N, C, COUNT = 16, 1000, 20, 30


@pytest.fixture(scope="module", params=[3, 4, 8])
def cells(request):
    random = np.random.default_rng(request.param)
    vectors, centroids = random.standard_normal((N, D), np.float32), random.standard_normal((C, D), np.float32)
    codec = fit("pq", Sample(vectors, vectors[:0]), request.param)
    return Cells.of(Coder("pq", codec, centroids), random.integers(0, C, N).astype(np.int32), codec.encode(vectors))


def naive(cells, query, scanned, allowed):
    """Rows of the best codes, cell by cell."""
    near = cells.coder.centroids @ query
    homes, codes = cells.by_row()
    scores = near[homes] + cells.coder.codec.score(query[None], codes)[0]
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
