"""Codebooks as the index of a Lance dataset, which holds the documents' vectors and makes the codes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from nearfar.compress.binary import Binary
from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.core.artifact import writing
from nearfar.core.errors import BadInput
from nearfar.index.export_check import KIND, Agreement, Leaving, Rows, agreement
from nearfar.index.export_faiss import Lists, centroids
from nearfar.index.export_form import Codebooks, blocks, in_words

FILE = "documents.lance"
QUERY_MAP = "query_map.npy"  # (d', d): what a query is multiplied by before it is asked
NEARER = 1e-6  # of a squared length: Lance may take the other of two centroids that are as near as that


def write_lance(path: Path, leaving: Leaving, lists: Lists | None = None, *, overwrite: bool = False) -> Agreement:
    """Write a folder with `documents.lance`: ids, rotated vectors and an IVF_PQ index, whose distances are compared.

    Lance takes the nearest centroids to a vector as its code. Where ours are not the nearest, or only just, that part
    of the stored vector is the centroid.

    Raises:
        BadInput: the codes are no product codes, the copy's scores differ from ours, or `path` exists.
    """
    books, vectors = _product(leaving.name, leaving.codec), _vectors(leaving)
    with writing(path, KIND, {**leaving.meta, "to": "lance"}, overwrite=overwrite) as folder:
        if books.query_map is not None:
            np.save(folder / QUERY_MAP, books.query_map)
        dataset = lance.write_dataset(_reader(vectors, leaving, books), str(folder / FILE))
        coarse = centroids(books, leaving.codes, (lists or Lists()).among(len(leaving.codes)))
        dataset.create_index("vector", "IVF_PQ", metric="dot", num_partitions=len(coarse), ivf_centroids=coarse,
                             pq_codebook=books.codebooks, num_sub_vectors=len(books.codebooks), num_bits=8)  # fmt: skip
        rows = {key: row for row, key in enumerate(leaving.ids)}
        copy = lance.dataset(str(folder / FILE))
        search = lambda queries, k: _searched(copy, books.mapped(queries), k, len(coarse), rows)  # noqa: E731
        return agreement(path, leaving, search, leaving.scores)


def check_lance(name: str, codec: Codec) -> None:
    """Refuse, before any work, a codec that Lance has no index for.

    Raises:
        BadInput: its codes are no product codes.
    """
    _product(name, codec)


def _product(name: str, codec: Codec) -> Codebooks:
    if isinstance(codec, Binary):
        raise BadInput.at("to lance", expected="product codes", found=in_words(name, codec),
                          do="export bits to faiss or pgvector")  # fmt: skip
    books = Codebooks.of(name, codec, "to lance")
    if books.repeated:
        raise BadInput.at("to lance", expected="product codes, as Lance has a slice of the vector for a codebook",
                          found=f"{in_words(name, codec)}, whose codebooks are for all of it",
                          do="export it to faiss, or compress with a product codec")  # fmt: skip
    return books


def _vectors(leaving: Leaving) -> Vectors:
    if leaving.vectors is None:
        raise BadInput.at("to lance", expected="the documents' vectors", found="codes alone", do="give both")
    return leaving.vectors


def _reader(vectors: Vectors, leaving: Leaving, books: Codebooks) -> Any:
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), books.dimension))])
    return pa.RecordBatchReader.from_batches(schema, _batches(vectors, leaving, books, schema))


def _batches(vectors: Vectors, leaving: Leaving, books: Codebooks, schema: Any) -> Iterator[Any]:
    for block in blocks(len(leaving.codes), max(256, books.dimension)):
        rotated = vectors[block] if books.rotation is None else vectors[block] @ books.rotation.T
        held = settled(rotated, books, leaving.codes[block])
        column = pa.FixedSizeListArray.from_arrays(pa.array(held.ravel()), books.dimension)
        yield pa.record_batch([pa.array(leaving.ids[block]), column], schema=schema)


def settled(vectors: Vectors, books: Codebooks, codes: Codes) -> Vectors:
    """Vectors (n, d') with the centroid of their code in the place of each slice that is not surely nearest to it."""
    parts = vectors.reshape(len(vectors), *books.codebooks.shape[::2]).copy()  # (n, M, d_sub)
    for place, book in enumerate(books.codebooks):
        far = (book**2).sum(1) - 2 * parts[:, place] @ book.T  # (n, K) squared distances less what all share
        own = np.take_along_axis(far, codes[:, place, None].astype(np.int64), axis=1)
        slack = NEARER * ((book**2).sum(1).max() + (parts[:, place] ** 2).sum(1, keepdims=True))
        unsure = (far < own + slack).sum(axis=1) > 1
        parts[unsure, place] = book[codes[unsure, place]]
    return parts.reshape(vectors.shape)


def _searched(copy: Any, queries: Vectors, k: int, lists: int, row_of: dict[str, int]) -> tuple[Rows, Vectors]:
    """Rows and scores (Q, k) of the index alone, with every partition probed."""
    rows, scores = np.full((len(queries), k), -1, np.int64), np.zeros((len(queries), k), np.float32)
    for number, query in enumerate(queries):
        nearest = {"column": "vector", "q": query, "k": k, "nprobes": lists}
        table = copy.to_table(columns=["id", "_distance"], nearest=nearest)
        rows[number, : len(table)] = [row_of[key] for key in table["id"].to_pylist()]
        scores[number, : len(table)] = 1 - table["_distance"].to_numpy()
    return rows, scores
