"""The last stage of a search: a model that reads the first documents together with the query and orders them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.index.table import TEXT
from nearfar.search.config import Mode
from nearfar.search.fusion import PAD
from nearfar.search.ranking import Asked, Mask, Ranking

if TYPE_CHECKING:  # reading an index must not import torch
    from nearfar.encoder.pair_scorer import PairScorer

READ_AT_ONCE = 8  # documents, under a budget: more would make its end coarse, fewer would make reading slow

Rows = NDArray[np.int32]
Floats = NDArray[np.float32]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Budget:
    """Time that may be spent from now on."""

    seconds: float
    clock: Clock
    begun: float

    @classmethod
    def of(cls, milliseconds: float | None, clock: Clock = time.perf_counter) -> Budget | None:
        """So much from now on; None where there is no limit."""
        return None if milliseconds is None else cls(milliseconds / 1000, clock, clock())

    @property
    def left(self) -> float:
        """Seconds."""
        return self.begun + self.seconds - self.clock()


@dataclass(frozen=True)
class Reread:
    """The first documents of a search in the order of a model's scores; others keep their place."""

    scorer: PairScorer

    def best(self, ranking: Ranking, one: Asked, k: int, mode: Mode, allowed: Mask | None) -> tuple[Rows, Floats]:
        """Rows and scores of the best documents, (n,) each: the model's scores, then those of the search itself."""
        depth = ranking.config.depth
        rows, scores = (found[0] for found in ranking.ranked(one, max(k, depth), mode, allowed))
        rows, scores, budget = rows[rows != PAD], scores[rows != PAD], Budget.of(ranking.config.budget_ms)
        read = scores_read(self.scorer, one.texts[0], texts_of(ranking, rows[:depth]), budget)
        order = np.argsort(-read, kind="stable")
        rows[: len(read)], scores[: len(read)] = rows[order], read[order]
        return rows[:k], scores[:k]


def texts_of(ranking: Ranking, rows: Rows) -> list[str]:
    """Texts of these rows."""
    return [str(text) for text in ranking.generation.table.take(rows, [TEXT])[TEXT].to_pylist()] if len(rows) else []


def scores_read(scorer: PairScorer, query: str, texts: Sequence[str], budget: Budget | None) -> Floats:
    """Scores of the first texts for a query, (m,): of all, or of as many as fit a budget, by how long the last took.

    The first text is read alone, to learn how long one takes.
    """
    from nearfar.encoder.precision import Policy

    policy, pairs = Policy(), [(query, text) for text in texts]
    if budget is None or not pairs:
        return scorer.scores(pairs, policy)
    found, done, count = [np.empty(0, np.float32)], 0, 1 if budget.left > 0 else 0
    with scorer.inference(policy):
        while count:
            before = budget.left
            found.append(scorer.scores(pairs[done : done + count], policy))
            done += count
            each = max((before - budget.left) / count, 1e-9)
            count = max(min(READ_AT_ONCE, int(budget.left / each), len(pairs) - done), 0)
    return np.concatenate(found)
