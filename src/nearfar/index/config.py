"""What an index of many documents keeps in memory, and how far a search looks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nearfar.core.config import Config

Positive = Annotated[int, Field(ge=1)]


class IndexConfig(Config):
    """Codes of an index, and the effort of a search; the defaults are from `benchmarks/search`."""

    passages: Annotated[int, Field(ge=0)] = 0
    """Tokens of the passages that documents are cut into along their structure; 0: they stay whole."""
    sparse: str = ""
    """Folder or hub name of a sparse encoder (SPLADE) whose weights of tokens take the place of BM25's; empty: none."""
    codec: str = "pq4_p"
    """Codec of the codes in memory, with codebooks, the fastest of four bits; it is fitted to vectors less the centroid
    of their cell."""
    size_bytes: Positive = 48
    """Bytes of a document's code; where the codec has no such size for the model's dimension, the next smaller one."""
    exact_below: Annotated[int, Field(ge=0)] = 20_000
    """An index of fewer documents has no codes: its vectors are held in memory, and all are compared."""
    documents_per_cell: Positive = 250
    """How many documents share a centroid, in the mean."""
    scanned: Positive = 100_000
    """Codes that are scored for a query, at the least: cells are opened, the likeliest first, until so many were; fewer
    under a filter, with the root of the share that it lets through."""
    candidates: Positive = 300
    """Of these, how many are ranked again by their vectors on disk."""
