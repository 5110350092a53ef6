"""Why a document was found, and where one was lost that was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nearfar.index.generation import Generation
from nearfar.search.config import Mode
from nearfar.search.fusion import Candidates, parts
from nearfar.search.ranking import Asked, Mask, Ranking, Rows

Stage = Literal["not indexed", "filter", "encoder", "words", "probe", "codes", "fusion", "found"]


@dataclass(frozen=True)
class TrainedOn:
    """A training query that the model learned to answer with this document: the nearest to the question."""

    query: str
    similarity: float  # of the two queries


@dataclass(frozen=True)
class Explanation:
    """What made a document's score."""

    dense: float | None  # similarity of the vectors; None where only words were asked for
    lexical: float  # BM25, or that of the sparse encoder
    dense_share: float  # of the score
    matched: Mapping[str, float]  # terms of the query that the document has, and what each adds to that
    marks: tuple[tuple[int, int], ...] = ()  # first and last + 1 character of the words of the text that they are
    trained_on: TrainedOn | None = None  # where the model's training pairs are at hand, see `pipeline.training_pairs`


@dataclass(frozen=True)
class WhyNot:
    """Where a document is lost, and its places on the way there, from 1."""

    stage: Stage
    said: str
    dense_place: int | None = None  # among all allowed documents, by exact scores
    lexical_place: int | None = None
    place: int | None = None  # in the end, where it is among the candidates


def explained(
    ranking: Ranking, asked: Asked, rows: Rows, k: int, mode: Mode, allowed: Mask | None
) -> list[Explanation]:  # fmt: skip
    """What made the scores of these rows, which are among the k best for the one query that was asked."""
    inverted, (terms,) = ranking.generation.lexicon.inverted, asked.terms
    lexical = inverted.scores(terms, rows).tolist()
    matched = [inverted.matched(terms, row) for row in rows.tolist()]
    if mode == "lexical":
        return [Explanation(None, *both) for both in zip(lexical, [0.0] * len(rows), matched, strict=True)]
    dense = (ranking.vectors(rows) @ asked.vectors[0]).tolist()
    shares = [1.0] * len(rows)
    if mode == "hybrid":
        shares = _dense_shares(ranking, ranking.candidates(asked, k, allowed), rows)
    return [Explanation(*values) for values in zip(dense, lexical, shares, matched, strict=True)]


def _dense_shares(ranking: Ranking, candidates: Candidates, rows: Rows) -> list[float]:
    """Share of the vectors in the fused scores of these rows, which are among the candidates of one query."""
    by_dense, by_words = (part[0] for part in parts(candidates, ranking.weight, lowest=ranking.lowest))
    shares = by_dense / np.maximum(by_dense + by_words, np.finfo(np.float32).tiny)
    found: list[float] = shares[np.searchsorted(candidates.rows[0], rows)].tolist()
    return found


def why_not(ranking: Ranking, asked: Asked, id_: str, k: int, mode: Mode, allowed: Mask | None) -> WhyNot:
    """Where the document of this id is lost for the one query that was asked."""
    generation = ranking.generation
    row = int(generation.table.rows_of([id_])[0])
    if row < 0:
        return WhyNot("not indexed", f"the index has no document '{id_}'")
    if allowed is not None and not allowed[row]:
        return WhyNot("filter", "the filter leaves it out")
    reach = k if mode == "dense" else max(k, ranking.config.depth)  # of codes, more would find what k does not
    found = ranking.ranked(asked, reach, mode, allowed)[0][0]
    place = _place(found, row)
    dense = None if mode == "lexical" else 1 + _better(generation, asked, row, allowed)
    words = (
        None
        if mode == "dense"
        else _place(generation.lexicon.inverted.search(asked.terms, len(generation), allowed)[0][0], row)
    )
    stage, said = _lost(ranking, asked, row, (dense, words, place), (k, mode), allowed)
    return WhyNot(stage, said, dense, words, place)


def _lost(
    ranking: Ranking, asked: Asked, row: int, places: tuple[int | None, int | None, int | None], how: tuple[int, Mode],
    allowed: Mask | None,
) -> tuple[Stage, str]:  # fmt: skip
    (dense, words, place), (k, mode) = places, how
    if place is not None and place <= k:
        return "found", f"it is number {place}"
    if mode == "lexical":
        said = "it has no word of the question" if words is None else f"by words it is number {words}"
        return "words", said
    depth = k if mode == "dense" else max(k, ranking.config.depth)
    if dense is not None and dense > depth and (mode == "dense" or words is None or words > depth):
        return "encoder", f"by exact scores of the model it is number {dense:,}"
    missed = _missed(ranking, asked, row, depth, allowed)
    if dense is not None and dense <= depth and missed and (mode == "dense" or words is None or words > depth):
        return missed
    return "fusion", f"by vectors it is number {dense:,}, by words {words or 'not there'}, joined {place or 'lower'}"


def _missed(ranking: Ranking, asked: Asked, row: int, k: int, allowed: Mask | None) -> tuple[Stage, str] | None:
    """Whether it is lost among the codes of an index that has them."""
    cells, config = ranking.generation.cells, ranking.generation.config
    if ranking.codes is not None:
        return "codes", "the codes that answer rank it lower than its vector"
    if cells is None:
        return None
    scanned, count = max(k, config.scanned), max(k, config.candidates)
    if row in cells.candidates(asked.vectors[0], count, scanned, allowed):
        return None
    most = (
        len(cells) if allowed is None else int(np.count_nonzero(allowed))
    ) - 1  # all would be, without a look at cells
    if row in cells.candidates(asked.vectors[0], most, scanned, allowed):
        return "codes", f"its code is not among the {count:,} best"
    return "probe", f"its cell is not among those opened for {scanned:,} documents"


def _better(generation: Generation, asked: Asked, row: int, allowed: Mask | None) -> int:
    """How many allowed documents have a higher exact score, or the same in a lower row."""
    own = float(generation.table.vectors(np.array([row]))[0] @ asked.vectors[0])
    count = start = 0
    for block in generation.table.blocks():
        scores, rows = block @ asked.vectors[0], np.arange(start, start + len(block))
        better = ((scores > own) & (rows != row)) | ((scores == own) & (rows < row))  # itself may round to more
        count += int(np.count_nonzero(better if allowed is None else better & allowed[rows]))
        start += len(block)
    return count


def _place(rows: Rows, row: int) -> int | None:
    found = np.flatnonzero(rows == row)
    return int(found[0]) + 1 if len(found) else None
