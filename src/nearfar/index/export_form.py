"""The shape of codes that another store can score: codebooks that add up, or bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.compress.four_bits import FourBits
from nearfar.compress.linear import Linear
from nearfar.compress.product import Product, spread
from nearfar.core.errors import BadInput

DECODED = 1 << 22  # numbers of decoded vectors that are held at once


@runtime_checkable
class HasCodebooks(Protocol):
    """A codec whose score is a sum over codebooks.

    It may have `rotation` (d', d) of documents, and of queries too unless there is a `query_map` (d', d) of their own.
    """

    @property
    def codebooks(self) -> Vectors:
        """Centroids, (M, K, d_sub)."""


@dataclass(frozen=True)
class Codebooks:
    """score = Σ_m q_m · codebooks[m, code_m], where q_m is a slice of the mapped query, or all of it."""

    codebooks: Vectors  # (M, K, d_sub)
    query_map: Vectors | None  # (d', d): mapped = queries @ query_map.T; None where queries stay as they are
    rotation: Vectors | None  # (d', d) of documents
    dimension: int  # d'

    @classmethod
    def of(cls, name: str, codec: Codec, store: str) -> Codebooks:
        """Take the codebooks out of a codec.

        Raises:
            BadInput: it has none of 256 centroids each, or one that is not finite.
        """
        books, rotation, query_map = _parts(codec)
        if books is None or books.shape[1] != 256:
            raise BadInput.at(store, expected="codebooks of 256 centroids, or bits", found=in_words(name, codec),
                              do="compress with a product, residual or binary codec and export that")  # fmt: skip
        if not np.isfinite(books).all():
            raise BadInput.at(store, expected="finite codebooks", found="NaN or infinity", do="fit the codec again")
        dimension = codec.dimension if query_map is None else len(query_map)
        return cls(np.ascontiguousarray(books, np.float32), query_map, rotation, dimension)

    @property
    def repeated(self) -> bool:
        """Whether every codebook meets the whole query, as residual codes' do."""
        books, _, width = self.codebooks.shape
        return bool(width == self.dimension and books > 1)

    def decode(self, codes: Codes) -> Vectors:
        """Vectors (n, d') whose inner product with a mapped query is the score."""
        if not self.repeated:
            return np.concatenate([book[codes[:, place]] for place, book in enumerate(self.codebooks)], axis=1)
        whole = np.zeros((len(codes), self.dimension), np.float32)
        for place, book in enumerate(self.codebooks):
            whole += book[codes[:, place]]
        return whole

    def mapped(self, queries: Vectors) -> Vectors:
        """Queries (Q, d) as the codebooks take them, (Q, d')."""
        return queries if self.query_map is None else queries @ self.query_map.T


def _parts(codec: Codec) -> tuple[Vectors | None, Vectors | None, Vectors | None]:
    """Codebooks (M, K, d_sub), and what documents and queries are multiplied by, each None where there is none."""
    if isinstance(codec, Linear) and not codec.mean.any():  # the mean's part of the score is in no codebook
        books, *maps = _parts(codec.inner)
        first, second = (codec.matrix if map_ is None else map_ @ codec.matrix for map_ in maps)
        return books, first, second
    if isinstance(codec, FourBits):
        return _parts(codec.pairs)
    if isinstance(codec, Product):
        exact = codec.dimension % codec.size_bytes == 0
        filled = None if exact else spread(np.eye(codec.dimension, dtype=np.float32), codec.size_bytes).T
        return codec.centroids, filled, filled
    if not isinstance(codec, HasCodebooks):
        return None, None, None
    rotation: Vectors | None = getattr(codec, "rotation", None)
    query_map: Vectors | None = getattr(codec, "query_map", None)
    return codec.codebooks, rotation, rotation if query_map is None else query_map


def four_bits_of(codec: Codec) -> FourBits | None:
    """The codec of four bits a group that a map of the documents may stand before; None where there is none."""
    inner = codec.inner if isinstance(codec, Linear) else codec
    return inner if isinstance(inner, FourBits) else None


def blocks(rows: int, width: int) -> list[slice]:
    """Rows in blocks whose vectors of `width` numbers can be held at once."""
    size = max(1, DECODED // width)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def in_words(name: str, codec: Codec) -> str:
    """What codes these are."""
    return f"{name} codes of {codec.size_bytes} bytes"


def bit_scores(codec: Codec, queries: Vectors, codes: Codes) -> Vectors:
    """Bits in which encoded queries (Q, d) and codes (n, bytes) differ, below zero, (Q, n)."""
    encoded = codec.encode(queries)
    found = np.zeros((len(queries), len(codes)), np.float32)
    for place in range(codes.shape[1]):
        found -= np.bitwise_count(encoded[:, place, None] ^ codes[None, :, place])
    return found
