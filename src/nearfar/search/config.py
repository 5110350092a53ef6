"""How a search ranks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearfar.core.config import Config

Mode = Literal["dense", "lexical", "hybrid"]


class SearchConfig(Config):
    """What a search does beside looking for the nearest vectors."""

    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the dense score in a hybrid one; left empty: the index's own, tuned on dev queries, or 0.94."""
    fusion: Literal["convex", "reciprocal_ranks"] = "convex"
    """How a hybrid search joins two rankings: by their scores, or by their ranks alone."""
    depth: Annotated[int, Field(ge=1)] = 100
    """Documents of each ranking that a hybrid search joins, and that a reranker reads."""
    aggregate: Literal["max", "mean"] = "max"
    """Score of a document in an index of passages: its best passage's, or the mean of all, which only vectors have."""
    feedback: Annotated[int, Field(ge=0)] = 0
    """Best documents of a first search whose mean vector the query's is moved towards; 0: none."""
    feedback_weight: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """How far it is moved."""
    budget_ms: Annotated[float, Field(gt=0)] | None = None
    """Milliseconds, once the documents are found, in which a reranker reads what it can; left empty: it reads all."""
