"""Hard negatives: documents that a system ranks high for a query, though nothing says that they answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from nearfar.core.config import Config
from nearfar.core.ragged import Ragged, offsets_of
from nearfar.data.batches import Ids
from nearfar.data.clean import unique_pairs
from nearfar.data.dataset import Dataset, Pairs
from nearfar.data.pool import FloatArray, IntArray, Mask, Pool, Ranker

SUSPECTS_A_QUERY = 3
SUSPECTS = 1000  # listed in all


class MiningConfig(Config):
    model_config = ConfigDict(allow_inf_nan=False)

    negatives: int = Field(default=3, ge=1)
    """Negatives mined for a query, at most."""
    rank_from: int = Field(default=0, ge=0)
    """Best candidates left out unseen: the higher an unjudged document ranks, the likelier it is an answer."""
    rank_to: int = Field(default=50, ge=1)
    """Candidates looked at, in order of rank; what cannot be a negative (known positives …) has no rank."""
    absolute_margin: float | None = Field(default=None, ge=0)
    """Keep a candidate only if it scores this much below the query's lowest positive."""
    relative_margin: float | None = Field(default=None, ge=0, lt=1)
    """Keep a candidate only if it scores this share of the positive's score below it; 0.05 is TopK-PercPos 95 %."""
    max_score: float | None = None
    """Keep a candidate only if it scores at most this."""
    sampling: Literal["top", "random"] = "top"
    """Take the best of the candidates kept, or draw among them."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the draw."""

    @field_validator("rank_to")
    @classmethod
    def _room(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("rank_from", 0) + info.data.get("negatives", 0)
        if value < least:
            raise ValueError(f"at least rank_from + negatives = {least}")
        return value

    def limits(self, positives: FloatArray) -> FloatArray:
        """The highest score a negative may have, (Q,), from the scores of the positives (Q,)."""
        limits = np.full(len(positives), np.inf, np.float32)
        if self.absolute_margin is not None:
            limits = np.minimum(limits, positives - np.float32(self.absolute_margin))
        if self.relative_margin is not None:  # |positive|: below zero, too, the limit is below the positive
            limits = np.minimum(limits, positives - np.float32(self.relative_margin) * np.abs(positives))
        return limits if self.max_score is None else np.minimum(limits, np.float32(self.max_score))


@dataclass(frozen=True)
class Judge:
    """A second system: what it scores above its own limit is no negative."""

    ranker: Ranker
    config: MiningConfig  # of which the margins and the highest score count

    def limits(self, pool: Pool) -> FloatArray:
        """The highest score of a negative of each query, (Q,)."""
        return self.config.limits(pool.lowest_positive(self.ranker)[1])


@dataclass(frozen=True)
class Found:
    """Scored (query, document) pairs, as positions in the pool; the hardest first within a query."""

    queries: Ids  # (n,)
    documents: Ids  # (n,)
    scores: FloatArray  # (n,)

    def take(self, rows: Ids) -> Found:
        """These rows."""
        return Found(self.queries[rows], self.documents[rows], self.scores[rows])


@dataclass(frozen=True)
class Mined:
    """Negatives, and what was left out."""

    pool: Pool
    negatives: Found  # by query
    lowest: IntArray  # (Q,) the lowest-scored positive of each query
    positives: FloatArray  # (Q,) its score
    suspects: Found  # of candidates near or above the positive those furthest above it, at most SUSPECTS
    left_out: Mapping[str, int]  # candidates by reason: positive, skipped, margin, filter
    suspected: int  # suspects, listed or not

    def by_query(self) -> Ragged:
        """(Q) positions of the negatives of each query."""
        lengths = np.bincount(self.negatives.queries, minlength=len(self.pool.queries))
        return Ragged(offsets_of(lengths), self.negatives.documents.astype(np.int32))

    def joined(self) -> Ragged:
        """(texts) the data's own negatives of each query and the mined ones, as numbers of texts."""
        own, found = self.pool.source.negatives, self.negatives
        queries = np.concatenate([own.row_of_value(), self.pool.queries[found.queries]])
        documents = np.concatenate([own.values.astype(np.int64), self.pool.documents[found.documents]])
        edges = np.unique(np.stack([queries, documents], axis=1), axis=0).astype(np.int32)
        return Ragged.from_pairs(edges[:, 0], edges[:, 1], len(self.pool.source.texts))

    def added_to(self, dataset: Dataset) -> Dataset:
        """`dataset`, with the negatives as judged pairs of score 0 in its training split."""
        train, texts = dataset.splits["train"], self.pool.source.texts
        documents = {text: row for row, text in reversed(list(enumerate(dataset.documents.texts)))}
        queries = {dataset.queries.texts[row]: row for row in train.relevant.queries.tolist()[::-1]}
        asked, found = self.pool.queries[self.negatives.queries], self.pool.documents[self.negatives.documents]
        mined = [(queries[texts[q]], documents[texts[d]], 0.0) for q, d in zip(asked, found, strict=True)]
        pairs = Pairs.of([*zip(train.queries, train.documents, train.scores, strict=True), *mined])
        return replace(dataset, splits={**dataset.splits, "train": unique_pairs(pairs)[0]})


def mine(
    pool: Pool,
    config: MiningConfig,
    ranker: Ranker,
    judge: Judge | None = None,
    on_progress: Callable[[int], None] = lambda _queries: None,
) -> Mined:
    """Take negatives for every query of `pool` from what `ranker` ranks high; never more than a chunk is in memory.

    Known positives, the query's own text and documents of its group are left out first. What is left is ranked;
    ranks rank_from ≤ r < rank_to are candidates, of which the margins, the highest score and the judge drop some.
    """
    lowest, positives = pool.lowest_positive(ranker)
    limits, judged = config.limits(positives), judge.limits(pool) if judge else positives
    parts = []
    for queries, k in pool.chunks(config.rank_to):
        chunk = _Chunk(pool, config, queries, *ranker.search(queries, k))
        over = chunk.near & (chunk.scores > limits[queries][:, None])
        refused = chunk.above(judge.ranker, judged[queries], chunk.near & ~over) if judge else np.zeros_like(over)
        parts.append(chunk.part(over, refused, positives[queries]))
        on_progress(len(queries))
    negatives, suspects = _joined([part.negatives for part in parts]), _joined([part.suspects for part in parts])
    order = np.argsort(negatives.queries, kind="stable")
    worst = np.argsort(positives[suspects.queries] - suspects.scores, kind="stable")[:SUSPECTS]
    left_out = {reason: sum(part.counts[reason] for part in parts) for reason in parts[0].counts}
    suspected = left_out.pop("suspected")
    return Mined(pool, negatives.take(order), lowest, positives, suspects.take(worst), left_out, suspected)


@dataclass(frozen=True)
class _Part:
    """What a chunk of queries gave."""

    negatives: Found
    suspects: Found
    counts: Mapping[str, int]


@dataclass(frozen=True)
class _Chunk:
    """Ranked documents of some queries, all arrays (n, k)."""

    pool: Pool
    config: MiningConfig
    queries: Ids  # (n,)
    documents: IntArray
    scores: FloatArray

    @cached_property
    def allowed(self) -> Mask:
        return self.pool.may_be_negative(self.queries, self.documents)

    @cached_property
    def ranks(self) -> IntArray:
        """Rank among the allowed documents of the query; of others, of the next allowed one."""
        return (np.cumsum(self.allowed, axis=1, dtype=np.int32) - self.allowed).astype(np.int32)

    @cached_property
    def near(self) -> Mask:
        return self.allowed & (self.ranks < self.config.rank_to)

    def above(self, ranker: Ranker, limits: FloatArray, where: Mask) -> Mask:
        """Where `ranker` scores higher than `limits` (n,), looking at `where` alone."""
        rows, columns = np.nonzero(where)
        result = np.zeros_like(where)
        scores = ranker.scores(self.queries[rows], self.documents[rows, columns].astype(np.int64))
        result[rows, columns] = scores > limits[rows]
        return result

    def part(self, over: Mask, refused: Mask, positives: FloatArray) -> _Part:
        """Negatives, suspects (the first few of a query), and counts."""
        skipped = self.near & (self.ranks < self.config.rank_from)
        kept = self.near & ~over & ~refused & ~skipped
        suspect = self.near & (over | refused | (self.scores >= positives[:, None]))
        barred = (self.documents >= 0) & ~self.allowed & (self.ranks < self.config.rank_to)
        counts = {"positive": barred, "skipped": skipped, "margin": over & ~skipped, "filter": refused & ~skipped,
                  "suspected": suspect}  # fmt: skip
        listed = suspect & (np.cumsum(suspect, axis=1) <= SUSPECTS_A_QUERY)
        summed = {name: int(mask.sum()) for name, mask in counts.items()}
        return _Part(self._at(self._sampled(kept)), self._at(listed), summed)

    def _sampled(self, kept: Mask) -> Mask:
        if self.config.sampling == "top":
            return kept & (np.cumsum(kept, axis=1) <= self.config.negatives)
        lots = np.where(kept, _lots(self.queries[:, None], self.documents, self.config.seed), np.inf)
        drawn = np.zeros_like(kept)
        np.put_along_axis(drawn, np.argsort(lots, axis=1)[:, : self.config.negatives], values=True, axis=1)
        return drawn & kept

    def _at(self, mask: Mask) -> Found:
        rows, columns = np.nonzero(mask)
        return Found(self.queries[rows], self.documents[rows, columns].astype(np.int64), self.scores[rows, columns])


def _joined(parts: list[Found]) -> Found:
    return Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in Found.__dataclass_fields__))


def _lots(queries: Ids, documents: IntArray, seed: int) -> NDArray[np.float64]:
    """A random number in [0, 1) for each pair, whatever chunk it is in: SplitMix64 (Steele et al., 2014)."""
    state = (queries.astype(np.uint64) << np.uint64(32)) + documents.astype(np.uint64)
    for word in (np.uint64(seed), np.uint64(0)):
        state = state + word + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
