"""The documents of an index on disk: one version of a Lance table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.index.location import Location
from nearfar.index.places import Addresses, Places
from nearfar.index.plain import PlainVectors
from nearfar.index.unreadable import first_of, told

ID, TEXT, VECTOR = "id", "text", "vector"
DOCUMENT, START, END, HEADING = "_document", "_start", "_end", "_heading"  # of a passage, where documents are cut
TOKENS, WEIGHTS = "_tokens", "_weights"  # of a learned sparse encoder, where the index has one
ADDRESS = "_rowaddr"  # Lance's name of the place of a row, which stays while the row does
BATCH_ROWS = 8192
KEY = {b"lance-schema:unenforced-primary-key": b"true"}  # without it, writers at the same time make rows twice

OWN = frozenset({ID, TEXT, VECTOR, DOCUMENT, START, END, HEADING, TOKENS, WEIGHTS})

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """One version of a table; a document's row is its place among the live ones, 0 … n−1, in the order of the table."""

    dataset: Any
    places: Places  # of the rows

    @classmethod
    def open(cls, location: Location, version: int) -> Self:
        """Open a version of the table at a place.

        Raises:
            BadInput: there is none, or the place cannot be reached.
        """
        try:
            return cls.of(location.open(version))
        except (ValueError, OSError) as error:
            do = "check the URL, the credentials and the network" if location.remote else "build the index again"
            raise BadInput.at(location.uri, expected=f"version {version} of a Lance table",
                              found=first_of(error), do=do) from None  # fmt: skip

    @classmethod
    def of(cls, dataset: Any) -> Self:
        """The version that a Lance dataset is at."""
        batches = dataset.scanner(columns=[], with_row_address=True, scan_in_order=True).to_batches()
        return cls(dataset, Places.of(batch.column(ADDRESS).to_numpy() for batch in batches))

    def __len__(self) -> int:
        return self.places.count

    @property
    def addresses(self) -> Addresses:
        """Where each row lies, (n,)."""
        return self.places.all()

    @property
    def version(self) -> int:
        """Lance's number of it."""
        return int(self.dataset.version)

    @property
    def dimension(self) -> int:
        """The d of the vectors."""
        return int(self.dataset.schema.field(VECTOR).type.list_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Of all vectors, (n, d)."""
        return len(self), self.dimension

    @property
    def columns(self) -> list[str]:
        """Names of the columns of metadata."""
        return [name for name in self.dataset.schema.names if name not in OWN]

    @property
    def has_passages(self) -> bool:
        """Whether a row is a passage of a document, and not a document."""
        return DOCUMENT in self.dataset.schema.names

    @property
    def has_token_weights(self) -> bool:
        """Whether its rows have weights of tokens."""
        return TOKENS in self.dataset.schema.names

    @property
    def documents(self) -> int:
        """How many documents the rows are of."""
        return len(set(self.values(DOCUMENT))) if self.has_passages else len(self)

    def take(self, rows: NDArray[np.integer[Any]], columns: Sequence[str]) -> pa.Table:
        """These columns of these rows, in the order given; nothing else is read from the disk.

        Raises:
            Unreadable: the files are gone, or damaged.
        """
        with told(self.dataset.uri):  # by address: Lance's own take by position reads every deletion before it
            found: pa.Table = self.dataset._take_rows(self.places.at(rows), columns=list(columns))
        return found

    def vectors(self, rows: NDArray[np.integer[Any]]) -> Vectors:
        """Vectors (n, d) of these rows, in the order given.

        Raises:
            Unreadable: the files are gone, or damaged.
        """
        with told(self.dataset.uri):
            return self._taken(rows) if self._plain is None else self._plain.at(self.places.at(rows))

    def _taken(self, rows: NDArray[np.integer[Any]]) -> Vectors:
        return numbers(self.take(rows, [VECTOR])[VECTOR])

    @cached_property
    def _plain(self) -> PlainVectors | None:
        """The vectors in the files themselves; None where they do not lie there as plain numbers."""
        plain = PlainVectors.of(self.dataset, VECTOR, self.dimension)
        if plain is None or not len(self):
            return None
        some = self.places.following(plain.firsts)  # a row of every page is compared with what Lance reads
        same = np.array_equal(plain.at(some), self._taken(self.places.rows_at(some)))
        return plain if same else None

    def all_vectors(self) -> Vectors:
        """Vectors (n, d) of all rows, in memory."""
        found = np.empty((len(self), self.dimension), np.float32)
        start = 0
        for block in self.blocks():
            found[start : start + len(block)] = block
            start += len(block)
        return found

    def blocks(self) -> Iterator[Vectors]:
        """Vectors of all rows in order, (n, d) some at a time."""
        for _, batch in self._scan([VECTOR]):
            yield numbers(batch.column(0))

    def values(self, name: str) -> Iterator[Any]:
        """Values of a column, row by row."""
        return (value for _, batch in self._scan([name]) for value in batch.column(0).to_pylist())

    def rows_where(self, condition: str) -> Rows:
        """Rows that fulfil a condition in the SQL of Lance, rising.

        Raises:
            BadInput: Lance cannot read it.
        """
        try:
            found = self.dataset.scanner(columns=[], filter=condition, with_row_address=True).to_table()
        except (ValueError, OSError) as error:
            raise BadInput.at("filter", expected="a condition on the columns", found=str(error).splitlines()[0],
                              do=f"the columns are {', '.join([ID, TEXT, *self.columns])}") from None  # fmt: skip
        return np.sort(self.places.rows_at(found[ADDRESS].to_numpy()))

    def rows_of(self, ids: Sequence[str]) -> Rows:
        """Row of each id, −1 where there is none."""
        import pyarrow.compute as pc  # noqa: PLC0415, a second of functions that searching does not need

        rows = np.full(len(ids), -1, np.int64)
        wanted = pa.array(ids, pa.string())
        for start, batch in self._scan([ID]):
            places = pc.index_in(batch.column(0), wanted).to_numpy(zero_copy_only=False)
            here = np.flatnonzero(~np.isnan(places.astype(np.float64)))
            rows[places[here].astype(np.int64)] = start + here
        return rows

    def rows_of_documents(self, ids: Sequence[str]) -> Rows:
        """Rows of these documents, rising: one of each, or those of its passages."""
        if not self.has_passages:
            rows = self.rows_of(ids)
            return np.sort(rows[rows >= 0])
        wanted = set(ids)
        return np.array([row for row, key in enumerate(self.values(DOCUMENT)) if key in wanted], np.int64)

    def names(self) -> list[str]:
        """Files below the table's place that this version is made of."""
        found = self.dataset.tracked_files(min_version=self.version).read_all().to_pylist()
        return [file["path"] for file in found if file["version"] == self.version]

    def _scan(self, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        start = 0
        with told(self.dataset.uri):
            for batch in self.dataset.scanner(columns=columns, batch_size=BATCH_ROWS, scan_in_order=True).to_batches():
                yield start, batch
                start += len(batch)


def passage_fields() -> list[Any]:
    """Columns of a passage: its document, where in it, and the headings above it."""
    return [pa.field(DOCUMENT, pa.string(), nullable=False), pa.field(START, pa.int64()), pa.field(END, pa.int64()),
            pa.field(HEADING, pa.list_(pa.string()))]  # fmt: skip


def schema_of(dimension: int, metadata: Iterable[pa.Field[Any]] = ()) -> pa.Schema:
    """Columns of a table: id, text, what else is known of a document, and its vector of so many numbers."""
    key = pa.field(ID, pa.string(), nullable=False, metadata=KEY)
    return pa.schema([key, pa.field(TEXT, pa.string(), nullable=False), *metadata,
                      pa.field(VECTOR, pa.list_(pa.float32(), dimension), nullable=False)])  # fmt: skip


def column_of(vectors: Vectors) -> Any:
    """A column of vectors (n, d)."""
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def numbers(column: Any) -> Vectors:
    """Vectors (n, d) of a column of lists of d."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: Vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    return found
