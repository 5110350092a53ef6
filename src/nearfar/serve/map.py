"""The map of an index: a sample of its documents and the judged queries, placed once for each time the service runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nearfar.index.table import DOCUMENT, ID, TEXT
from nearfar.report.kept import Named
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
    named: Mapping[str, Named] = field(default_factory=dict)  # in examples of the doctor's findings, the worst last
    layout: Layout | None = None
    is_final: bool = False
    version: int = 0  # of the layout
    rows: NDArray[np.int64] = field(init=False)  # (n,) sampled documents, rising
    elsewhere: Elsewhere | None = None
    _named_rows: Mapping[str, NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        count, table = len(self.index), self.index.generation.table
        chosen = np.random.default_rng(SEED).choice(count, min(count, MOST_DOCUMENTS), replace=False)
        self._named_rows = {name: table.rows_of_documents(found.documents) for name, found in self.named.items()}
        self.rows = np.unique(np.concatenate([chosen.astype(np.int64), *self._named_rows.values()]))

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
        # Where others work too, threads wait for each other, for seconds in all. The limit is that of numpy's and
        # scipy's products in the whole process; it has no other large ones, and only this thread sets it.
        with threadpool_limits(1):
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
        """Names of colours, and which each point has: by "kind", "cluster", "finding" or a field of the metadata."""
        if by == "cluster" and self.layout is not None:
            clusters = int(self.layout.clusters.max()) + 1
            return [f"cluster {number + 1}" for number in range(clusters)], self.layout.clusters
        if by in self.fields:
            return self._by_field(by)
        kinds = np.zeros(len(self.rows) + len(self.queries), np.uint8)
        kinds[len(self.rows) :] = 1
        names = ["document", "query"] if self.queries else ["document"]
        return self._with_findings(names, kinds) if by == "finding" else (names, kinds)

    def _with_findings(self, names: list[str], kinds: NDArray[np.uint8]) -> tuple[list[str], NDArray[np.uint8]]:
        """The kinds, and over them the failures that points are examples of; of several, the worst."""
        places = {text: len(self.rows) + number for number, text in enumerate(self.queries)}
        for number, (failure, found) in enumerate(self.named.items(), len(names)):
            kinds[np.searchsorted(self.rows, self._named_rows[failure])] = number
            kinds[[places[text] for text in found.queries if text in places]] = number
        return [*names, *(failure.replace("_", " ") for failure in self.named)], kinds

    def _by_field(self, by: str) -> tuple[list[str], NDArray[np.uint8]]:
        """The commonest values of a field of the metadata."""
        kinds = np.zeros(len(self.rows) + len(self.queries), np.uint8)
        values = [_named(value) for value in self.index.generation.table.take(self.rows, [by])[by].to_pylist()]
        counts = Counter(values)
        names = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_NAMES]
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
