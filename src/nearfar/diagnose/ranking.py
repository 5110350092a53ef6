"""nDCG of vectors against judgments, for queries that no evaluation has scored yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Scores, Vectors
from nearfar.evaluate.metrics import ndcg
from nearfar.evaluate.run import Judgments, Run

DEPTH = 10
BLOCK_SCORES = 1 << 23  # similarities held at once


def ndcg_of_vectors(queries: Vectors, documents: Vectors, relevant: Ragged) -> Scores:
    """nDCG@10 of each query (Q, d) among the documents (D, d), every relevant document with gain 1, (Q,)."""
    rows = max(1, BLOCK_SCORES // max(1, len(documents)))
    tops = [_top(queries[start : start + rows] @ documents.T) for start in range(0, len(queries), rows)]
    return ndcg_of_ranking(np.concatenate(tops) if tops else np.zeros((0, DEPTH), np.int32), relevant)


def ndcg_of_ranking(documents: NDArray[np.int32], relevant: Ragged) -> Scores:
    """nDCG@10 of rankings (Q, k), best first, every relevant document with gain 1, (Q,)."""
    run = Run(documents, np.zeros(documents.shape, np.float32))
    return ndcg(run, Judgments(relevant, np.ones(len(relevant.values), np.float32)), DEPTH)


def _top(scores: NDArray[np.float32]) -> NDArray[np.int32]:
    """The columns of the highest scores in each row (Q, D), best first, (Q, k)."""
    k = min(DEPTH, scores.shape[1])
    found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    run = Run.ranked(found.astype(np.int32), np.take_along_axis(scores, found, axis=1))
    return run.documents
