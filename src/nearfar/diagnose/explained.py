"""How much of a model's scores the surface of the texts explains beyond relevance: partial R²."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nearfar.core.surface import FAMILIES, family
from nearfar.diagnose.evidence import Evidence, Subject
from nearfar.diagnose.surface import Postings, leading, surface_tokens, words

Floats = NDArray[np.float64]

MOST_QUERIES = 200
CANDIDATES = 20  # the model's best of each query, beside the relevant ones
FEATURES = (*FAMILIES, "length", "leading")


def explained(
    evidence: Evidence, model: Subject, tokens: Sequence[frozenset[str]], rarity: Postings
) -> dict[str, float]:
    """Share of the variance of the model's scores that surface features add to the controls, together and one by one.

    Rows are pairs of a test query with its relevant documents and the model's best ones; all values are centred
    within the query. Controls: relevance, the shared words (as BM25 would), and the base's score where there is one.

    Args:
        tokens: all tokens of each document.
        rarity: of the words of the documents.
    """
    drawn = np.random.default_rng(0).permutation(len(evidence.test))[:MOST_QUERIES]
    written = frozenset[str]().union(*tokens)
    asked = {row: surface_tokens(evidence.test.queries[row], written) for row in map(int, drawn)}
    blocks = [_block(evidence, model, tokens, rarity, row, mine) for row, mine in asked.items()]
    table = np.concatenate([block - block.mean(axis=0) for block in blocks])
    scores, controls, surface = table[:, 0], table[:, 1:4], table[:, 4:]
    alone = {f"r2_{name}": partial_r2(scores, controls, surface[:, [place]]) for place, name in enumerate(FEATURES)}
    return {"surface_r2": partial_r2(scores, controls, surface)} | alone


def partial_r2(scores: Floats, controls: Floats, features: Floats) -> float:
    """(SSE of the controls − SSE of both) / SSE of the controls, by least squares; 0 where nothing varies."""
    before = _squared_error(scores, controls)
    return max(0.0, 1 - _squared_error(scores, np.hstack([controls, features])) / before) if before > 0 else 0.0


def _squared_error(scores: Floats, features: Floats) -> float:
    weights = np.linalg.lstsq(features, scores, rcond=None)[0]
    return float(np.square(scores - features @ weights).sum())


def _block(
    evidence: Evidence, model: Subject, tokens: Sequence[frozenset[str]], rarity: Postings, row: int,
    mine: frozenset[str],
) -> Floats:  # fmt: skip
    """Score, relevance, shared words, base's score and FEATURES of a query's candidates, (n, 4 + features)."""
    scores, relevant = model.documents @ model.test[row], evidence.test.relevant[row]
    best = np.argpartition(-scores, min(CANDIDATES, len(scores) - 1))[:CANDIDATES]
    rows = np.union1d(best, relevant)
    query, base = evidence.test.queries[row], evidence.base
    by_base = base.documents[rows] @ base.test[row] if base else np.zeros(len(rows))
    asked = words(query)
    overlap = [sum(map(rarity.rarity, asked & words(evidence.documents[place]))) for place in rows]
    surface = [list(_features(query, mine, evidence.documents[place], tokens[place])) for place in rows]
    return np.column_stack([scores[rows], np.isin(rows, relevant), overlap, by_base, surface])


def _features(query: str, asked: frozenset[str], document: str, having: frozenset[str]) -> Iterator[float]:
    kinds = [family(token) for token in asked & having]
    yield from (float(kinds.count(name)) for name in FAMILIES)
    yield float(np.log1p(len(document)))
    yield float(leading(query) == leading(document) != "")
