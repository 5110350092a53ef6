"""What is known of each candidate of a question before any costly model reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nearfar.search.fusion import PAD, Candidates, convex
from nearfar.search.ranking import Asked, Ranking
from nearfar.text.words import words

WORD = re.compile(r"\w+")

Floats = NDArray[np.float32]


def standing(scores: Floats) -> list[Floats]:
    """Scores (n,), how far each is behind the best, and its rank from 0, equal ones in the order given."""
    rank = np.empty(len(scores), np.float32)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores), dtype=np.float32)
    return [scores, scores.max(initial=-np.inf) - scores, rank]


def signals(ranking: Ranking, asked: Asked, candidates: Candidates, texts: Sequence[str]) -> Floats:
    """Signals of the n candidates of the one query that was asked, (n, 15).

    Score, how far it is behind the query's best, and rank: by the vectors, by words, and by both as a hybrid search
    joins them. Then the share of the query's terms that the document holds, by number and by weight; the logarithms of
    both lengths; whether the document holds the query word for word, and which share of its neighbouring words.
    """
    (query,), count = asked.texts, int(np.count_nonzero(candidates.rows[0] != PAD))
    hybrid = convex(candidates, ranking.weight, lowest=ranking.lowest)[0, :count]
    terms = [term for term in asked.terms[0] if not term.is_pair]
    different = max(len(set(words(query))), len(terms))  # of which no document may hold some
    overlap = ranking.generation.lexicon.inverted.overlap(terms, different, candidates.rows[0, :count])
    scores = (candidates.dense[0, :count], candidates.lexical[0, :count], hybrid)
    asked_terms = np.full(count, np.log1p(len(words(query))))
    columns = [*(part for own in scores for part in standing(own)), overlap.terms, overlap.weight,
               np.log1p(overlap.lengths), asked_terms, *_phrases(query, texts)]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _phrases(query: str, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Whether each text has the words of the query in a row, and the share of neighbouring words it has so; (n,)."""
    asked = WORD.findall(query.casefold())
    pairs = {f" {first} {second} " for first, second in pairwise(asked)}
    plain = [f" {' '.join(WORD.findall(text.casefold()))} " for text in texts]
    whole = f" {' '.join(asked)} "
    shares = [sum(pair in text for pair in pairs) / max(len(pairs), 1) for text in plain]
    return np.array([whole in text for text in plain], np.float32), np.array(shares, np.float32)
