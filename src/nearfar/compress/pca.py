"""Fewer dimensions: those in which the documents vary most."""

from __future__ import annotations

from collections.abc import Sequence

from nearfar.compress.codec import Kind, Sample
from nearfar.compress.int8 import int8_of, restore_int8
from nearfar.compress.linear import Linear, mapped, principal, restoring


def _sizes(dimension: int) -> Sequence[int]:
    return range(1, dimension + 1)


def _fit(sample: Sample, size_bytes: int) -> Linear:
    mean, axes = principal(sample.vectors, size_bytes)
    return Linear(mean, axes, int8_of(mapped(sample.vectors, mean, axes)))


def _fewest(size_bytes: int) -> int:
    return size_bytes + 1  # n documents span n − 1 directions about their mean


PCA = Kind("principal components as int8, a byte each", "Pearson, 1901; Jégou and Chum, 2012",
           _sizes, _fit, restoring(restore_int8), _fewest)  # fmt: skip
