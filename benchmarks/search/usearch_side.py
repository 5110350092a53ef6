"""usearch: a graph of neighbours over vectors in a type of few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from corpus import Corpus, K, Vectors
from sides import Effort, Opened
from usearch.index import Index

FILE = "index.usearch"


class Usearch:
    """Its Python package takes no filter."""

    default = None
    filtered = False
    served = False
    efforts: Sequence[Effort] = [{"expansion": size} for size in (16, 32, 64, 128, 256, 512)]

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.note = f"vectors as {dtype} and the graph in memory; no filters in Python"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write the graph."""
        index = Index(ndim=corpus.vectors.shape[1], metric="ip", dtype=self.dtype, connectivity=16, expansion_add=128)
        index.add(np.arange(corpus.count), corpus.vectors, threads=2)
        index.save(str(folder / FILE))

    def open(self, corpus: Corpus, folder: Path) -> Opened:  # noqa: ARG002
        """Read it."""
        index = Index.restore(str(folder / FILE), view=False)

        def ask(query: Vectors, effort: Effort, below: int | None) -> Sequence[int]:  # noqa: ARG001
            index.expansion_search = effort["expansion"]
            rows: list[int] = index.search(query, K, threads=1).keys.tolist()
            return rows

        return Opened(ask, (folder / FILE).stat().st_size)
