"""The stage that has the last word on the order of documents, by what a caller names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nearfar.core.errors import BadInput
from nearfar.search.config import Mode
from nearfar.search.learned import Learned, open_learned
from nearfar.search.ranking import Asked, Mask, Ranking
from nearfar.search.rerank import Floats, Reread, Rows

if TYPE_CHECKING:  # reading an index must not import torch
    from nearfar.encoder.encoder import Encoder
    from nearfar.encoder.pair_scorer import PairScorer, Scorer

LEARNED = "learned"  # in the place of a model: what `nearfar index tune --learn-to-rank` kept


class Stage(Protocol):
    """What finds documents for one query and has the last word on their order."""

    def best(self, ranking: Ranking, one: Asked, k: int, mode: Mode, allowed: Mask | None) -> tuple[Rows, Floats]:
        """Rows and scores of the best documents of the one query, best first, each (n,) with n ≤ k."""


def mode_for(mode: Mode | None, rerank: object) -> Mode:
    """The mode that was asked for; of none the usual one, and for the learned order, which reads both searches, both.

    Raises:
        BadInput: one of the two alone was asked for, in the learned order.
    """
    if rerank != LEARNED:
        return mode or "dense"
    if mode not in (None, "hybrid"):
        raise BadInput.at("the learned order", expected="a hybrid search", found=f"a {mode} one",
                          do="leave out the mode")  # fmt: skip
    return "hybrid"


def open_stage(rerank: Scorer, ranking: Ranking, encoder: Callable[[], Encoder]) -> Stage:
    """Load what is to order the documents of an index.

    Args:
        rerank: "learned", or what `encoder.pair_scorer` loads.
        encoder: gives the index's own model.

    Raises:
        BadInput: it cannot be had, or is not safe to load.
        MissingExtra: a package that the learned order needs is not installed.
    """
    stage: Reread | Learned
    if rerank == LEARNED:
        stage = open_learned(ranking, encoder)
    else:
        from nearfar.encoder.pair_scorer import load_scorer

        stage = Reread(load_scorer(rerank, encoder))
    if isinstance(rerank, str | Path) and ranking.config.budget_ms is not None and stage.scorer is not None:
        _warm(stage.scorer)
    return stage


def _warm(scorer: PairScorer) -> None:
    """Read one pair: what a first call sets up is no time of the search."""
    from nearfar.encoder.precision import Policy

    scorer.scores([("a question", "a document")], Policy())
