"""The map of an index: a sample of its documents and the judged queries, placed once for each time the service runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.index.table import DOCUMENT, ID, TEXT
from nearfar.search.index import Index
from nearfar.serve.layout import FEWEST, Elsewhere, Layout, by_components, components

MOST_DOCUMENTS = 100_000
MOST_NAMES = 9  # colours; the values that are rarer are one
SHOWN = 1000  # characters of a text
SEED = 0


@dataclass
class DocumentMap:
    """The points: rows of the index as it was when the map was asked for, then queries."""

    index: Index
    queries: Sequence[str]
    query_vectors: NDArray[np.float32]  # (Q, d)
    layout: Layout | None = None
    is_final: bool = False
    version: int = 0  # of the layout
    rows: NDArray[np.int64] = field(init=False)  # (n,) sampled documents, rising
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        count = len(self.index)
        chosen = np.random.default_rng(SEED).choice(count, min(count, MOST_DOCUMENTS), replace=False)
        self.rows = np.sort(chosen).astype(np.int64)

    def start(self) -> None:
        """Place the points, in the background."""
        threading.Thread(target=self._run, name="map", daemon=True).start()

    def close(self) -> None:
        """End what is under way."""
        if self.elsewhere is not None:
            self.elsewhere.end()

    def _run(self) -> None:
        try:
            self._place()
        finally:
            self.is_final = True

    def _place(self) -> None:
        vectors = np.concatenate([self.index.generation.table.vectors(self.rows), self.query_vectors])
        reduced = components(vectors)
        self.layout, self.version = by_components(reduced), 1
        if len(reduced) < FEWEST:
            return
        self.elsewhere = Elsewhere(reduced)
        places = self.elsewhere.places()
        if places is not None:
            self.layout, self.version = Layout(places, self.layout.clusters, "UMAP"), 2

    @property
    def fields(self) -> list[str]:
        """Metadata that the points can be coloured by."""
        return list(self.index.generation.table.columns)

    def ids(self) -> list[str]:
        """Id of each document on the map."""
        table = self.index.generation.table
        return [str(value) for value in table.take(self.rows, [self._id])[self._id].to_pylist()]

    def colours(self, by: str) -> tuple[list[str], NDArray[np.uint8]]:
        """Names of the colours, and which each point has: by "kind", "cluster" or a field of the metadata."""
        kinds = np.zeros(len(self.rows) + len(self.queries), np.uint8)
        if by == "cluster" and self.layout is not None:
            return [
                f"cluster {number + 1}" for number in range(int(self.layout.clusters.max()) + 1)
            ], self.layout.clusters
        if by not in self.fields:
            kinds[len(self.rows) :] = 1
            return ["document", "query"] if self.queries else ["document"], kinds
        values = [_named(value) for value in self.index.generation.table.take(self.rows, [by])[by].to_pylist()]
        names, counts = np.unique(values, return_counts=True)
        names = names[np.argsort(-counts, kind="stable")][:MOST_NAMES].tolist()
        number = {name: place for place, name in enumerate(names)}
        kinds[: len(self.rows)] = [number.get(value, len(names)) for value in values]
        kinds[len(self.rows) :] = len(names) + 1
        return [*names, "others", "query"], kinds

    def point(self, number: int) -> tuple[str, str]:
        """Id and text of a point; a query has no id.

        Raises:
            IndexError: there is no such point.
        """
        if number >= len(self.rows):
            return "", self.queries[number - len(self.rows)][:SHOWN]
        row = self.index.generation.table.take(self.rows[number : number + 1], [self._id, TEXT]).to_pylist()[0]
        return str(row[self._id]), str(row[TEXT])[:SHOWN]

    @property
    def _id(self) -> str:
        return DOCUMENT if self.index.generation.table.has_passages else ID


def _named(value: Any) -> str:
    """A value of the metadata as the name of a colour; of a list its first."""
    first = value[0] if isinstance(value, list) and value else value
    return "none" if first is None or first == [] else str(first)[:60]
