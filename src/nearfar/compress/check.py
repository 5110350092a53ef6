"""What vectors and codes must be before a codec takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codes, Vectors
from nearfar.core.errors import BadInput, DimensionMismatch

BLOCK_ROWS = 1 << 14  # vectors looked at at once: a mask over all of a mapped file need not fit into memory


def check_vectors(vectors: Vectors, ids: Sequence[str] | None = None, *, noun: str = "document") -> None:
    """Refuse vectors (n, d) that no code can stand for; `noun` is what each is the vector of.

    Raises:
        BadInput: one is NaN, infinite or zero; the first is named by its id, or by its row from 0.
    """
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS]
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1) | ~block.any(axis=1))
        if len(bad):
            row = start + int(bad[0])
            where = f"{noun} of row {row}" if ids is None else f"{noun} '{ids[row]}'"
            raise BadInput.at(where, expected="a finite vector that is not zero", found=_flaw(vectors[row]),
                              do="check the model, or leave it out")  # fmt: skip


def _flaw(vector: NDArray[np.float32]) -> str:
    if np.isnan(vector).any():
        return "NaN"
    return "only zeros" if np.isfinite(vector).all() else "infinity"


def as_vectors(vectors: Vectors, dimension: int) -> Vectors:
    """The vectors (n, d) in the layout that FAISS reads.

    Raises:
        DimensionMismatch: d is not `dimension`.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise DimensionMismatch(
            f"codec: expected {dimension}-d vectors, (n, {dimension}), found shape {vectors.shape}; "
            f"encode with the model that the codec was fitted for"
        )
    return np.ascontiguousarray(vectors, np.float32)


def as_codes(codes: Codes, size_bytes: int) -> Codes:
    """The codes (n, size_bytes) in the layout that FAISS reads.

    Raises:
        DimensionMismatch: they have another size.
    """
    if codes.ndim != 2 or codes.shape[1] != size_bytes:
        raise DimensionMismatch(
            f"codec: expected codes of {size_bytes} bytes, (n, {size_bytes}), found shape {codes.shape}; "
            f"decode with the codec that made them"
        )
    return np.ascontiguousarray(codes, np.uint8)
