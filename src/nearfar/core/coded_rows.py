"""A matrix whose rows have different numbers of bits: arrays as they lie on disk, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput

MOST_BITS = 8  # of a number
BLOCK_ROWS = 1 << 12  # unpacked at a time, a byte a bit
Array = NDArray[np.generic]


@dataclass(frozen=True)
class CodedRows:
    """Row r is scales[r] · levels[bits[r]][its codes], and zero where bits[r] is 0."""

    dimension: int
    bits: NDArray[np.uint8]  # (V,) of each number of a row
    scales: NDArray[np.float32]  # (V,)
    levels: Mapping[int, NDArray[np.float32]]  # bits b → (2^b,), rising
    codes: Mapping[int, NDArray[np.uint8]]  # bits b → (rows of so many bits, ⌈d·b / 8⌉), in the order of the rows

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.state().values())

    def decode(self) -> NDArray[np.float32]:
        """The matrix (V, d), the same to the last bit wherever it is decoded."""
        rows = np.zeros((len(self.bits), self.dimension), np.float32)
        for bits, packed in self.codes.items():
            places, levels = np.flatnonzero(self.bits == bits), self.levels[bits]
            for block in _blocks(len(places)):
                scales = self.scales[places[block], None]
                rows[places[block]] = scales * levels[unpacked(packed[block], bits, self.dimension)]
        return rows

    def state(self) -> dict[str, Array]:
        """The arrays by name, from which `restored` makes it again."""
        state: dict[str, Array] = {"dimension": np.array([self.dimension]), "bits": self.bits, "scales": self.scales}
        for bits, codes in self.codes.items():
            state |= {f"levels.{bits}": self.levels[bits], f"codes.{bits}": codes}
        return state


def restored(state: Mapping[str, Array]) -> CodedRows:
    """The matrix of these arrays.

    Raises:
        BadInput: they are not those of `state`, or do not fit each other.
    """
    try:
        dimension = int(state["dimension"][0])
        bits, scales = state["bits"].astype(np.uint8), state["scales"].astype(np.float32)
        used = [int(value) for value in np.unique(bits[bits > 0])]
        levels = {value: state[f"levels.{value}"].astype(np.float32) for value in used}
        codes = {value: state[f"codes.{value}"].astype(np.uint8) for value in used}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _foreign(f"no or another {error}") from None
    shapes = {value: (int((bits == value).sum()), -(-dimension * value // 8)) for value in used}
    whole = bits.ndim == 1 and bits.shape == scales.shape and max(used, default=0) <= MOST_BITS
    if not whole or any(codes[b].shape != shapes[b] or levels[b].shape != (1 << b,) for b in used):
        raise _foreign("arrays of other shapes")
    return CodedRows(dimension, bits, scales, levels, codes)


def packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes (n, d) < 2^bits one after the other, the lowest bit first; (n, ⌈d·bits / 8⌉)."""
    out = np.empty((len(codes), -(-codes.shape[1] * bits // 8)), np.uint8)
    for block in _blocks(len(codes)):
        single = np.unpackbits(codes[block, :, None], axis=2, count=bits, bitorder="little")
        out[block] = np.packbits(single.reshape(len(single), -1), axis=1, bitorder="little")
    return out


def unpacked(codes: NDArray[np.uint8], bits: int, dimension: int) -> NDArray[np.uint8]:
    """Codes (n, d) of what `packed` made of them."""
    single = np.unpackbits(codes, axis=1, count=dimension * bits, bitorder="little")
    result: NDArray[np.uint8] = np.packbits(single.reshape(-1, dimension, bits), axis=2, bitorder="little")[:, :, 0]
    return result


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS))


def _foreign(found: str) -> BadInput:
    return BadInput.at("token table", expected="the arrays of a compressed table", found=found, do="compress it again")
