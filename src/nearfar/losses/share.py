"""The part of a batch's loss that one of several processes computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The anchors to score, against everything; the counts divided by are those of the whole batch.

    Over shares that cover the batch and do not overlap, losses and gradients add up to those of the whole batch.
    """

    queries: slice
    documents: slice
