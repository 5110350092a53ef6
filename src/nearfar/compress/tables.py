"""Token tables in few bytes: each row gets the bits that lower the error of texts most, for a budget of all.

The vector of a text is the mean of its tokens' rows, so an error of row t weighs as the squared shares that t has in
texts. With D(b) the error of b bits as a share of a row's own square, bits b_t minimise Σ importance_t · D(b_t) under
Σ bytes(b_t) ≤ budget, by a Lagrange multiplier (Shoham and Gersho, 1988); rows of 0 bits are dropped. Levels are those
of Lloyd (1982) for the table's own numbers, each row scaled to a mean square of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.check import as_vectors
from nearfar.compress.codec import Vectors
from nearfar.core.coded_rows import MOST_BITS, CodedRows, packed
from nearfar.core.config import nearest
from nearfar.core.errors import BadInput, excerpt
from nearfar.core.ragged import Ragged

Numbers = NDArray[np.float64]
ROW_BYTES = 5  # of every row, dropped ones too: its number of bits and its scale
FITTED_NUMBERS = 1 << 16  # that levels are fitted to
ROUNDS = 30  # of Lloyd's algorithm
EXPONENT = 200.0  # the multiplier is sought from 2^-200 to 2^200
HALVINGS = 100  # of that range


@dataclass(frozen=True)
class Method:
    """How bits are shared out among rows."""

    purpose: str
    fewest_bits: int
    importance: Callable[[Vectors, Numbers], Numbers]  # table (V, d), weights of its tokens (V,) → (V,)


def _by_use(table: Vectors, weights: Numbers) -> Numbers:
    """‖row‖² √weight: the root, since other texts use tokens more evenly than those that were counted."""
    used = weights[weights > 0]
    return _squares(table) * np.sqrt(weights + (used.min() if len(used) else 1.0))


def _by_length(table: Vectors, _: Numbers) -> Numbers:
    return _squares(table)


METHODS: Mapping[str, Method] = {
    "mixed": Method("more bits for tokens that weigh more in the run's texts, none for the least", 0, _by_use),
    "even": Method("bits by a row's length alone, one at least, for tables that will read other texts", 1, _by_length),
}


def method_of(name: str) -> Method:
    """The method of that name.

    Raises:
        BadInput: there is none; the nearest right name is given.
    """
    if name not in METHODS:
        raise BadInput.at("method", expected="a known one", found=excerpt(name), do=nearest(name, list(METHODS)))
    return METHODS[name]


def token_weights(texts: Ragged, rows: int) -> Numbers:
    """Mean over texts of the squared share that each token has in a text, (rows,)."""
    lengths = np.maximum(texts.lengths, 1)
    places = np.repeat(np.arange(len(texts)), texts.lengths)
    keys, counts = np.unique(places * rows + texts.values, return_counts=True)
    shares = counts / lengths[keys // rows]
    weights: Numbers = np.bincount(keys % rows, shares**2, rows) / max(len(texts), 1)
    return weights


def compressed(table: Vectors, weights: Numbers, budget_bytes: int, method: str) -> CodedRows:
    """The table (V, d) in at most `budget_bytes`; `weights` (V,) say how much each token weighs in texts.

    Raises:
        BadInput: the method is unknown, the table has a number that is none, or is larger in the fewest bits.
    """
    chosen = method_of(method)
    table = as_vectors(table, table.shape[1])
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise BadInput.at(f"token {row}", expected="finite numbers", found="NaN or infinity", do="train again")
    _check_budget(budget_bytes, table, method)
    levels = {bits: _levels(table, bits) for bits in range(1, MOST_BITS + 1)}
    bits = _shared_out(chosen, table, chosen.importance(table, weights), levels, budget_bytes)
    return _coded(table, bits, levels)


def smallest_bytes(rows: int, dimension: int, method: str) -> int:
    """Least budget that `compressed` can keep to."""
    bits = max(1, method_of(method).fewest_bits)
    coded = rows if method_of(method).fewest_bits else 1
    return _overhead(rows) + coded * -(-dimension * bits // 8)


def _check_budget(budget_bytes: int, table: Vectors, method: str) -> None:
    if budget_bytes < (least := smallest_bytes(len(table), table.shape[1], method)):
        raise BadInput.at("budget", expected=f"at least {least:,} bytes for {len(table):,} rows of {table.shape[1]}",
                          found=f"{budget_bytes:,}", do="give more")  # fmt: skip


def _overhead(rows: int) -> int:
    """Bytes of all but codes: a little for the dimension, bits and scales of rows, and levels."""
    return 8 + ROW_BYTES * rows + 4 * sum(1 << bits for bits in range(1, MOST_BITS + 1))


def _shared_out(
    method: Method, table: Vectors, importance: Numbers, levels: Mapping[int, Vectors], budget_bytes: int
) -> NDArray[np.uint8]:
    """Bits of each row, (V,)."""
    choices = np.arange(method.fewest_bits, MOST_BITS + 1)
    sizes = -(-table.shape[1] * choices // 8)
    errors = np.array([_error(table, levels.get(int(bits))) for bits in choices])
    room, low, high = budget_bytes - _overhead(len(table)), -EXPONENT, EXPONENT
    best = _cheapest(importance, errors, 2.0**high * sizes)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = _cheapest(importance, errors, 2.0**middle * sizes)
        fits = sizes[found].sum() <= room
        low, high, best = (low, middle, found) if fits else (middle, high, best)
    return choices[best].astype(np.uint8)


def _cheapest(importance: Numbers, errors: Numbers, prices: Numbers) -> NDArray[np.int64]:
    """For each row the choice of the least importance · error + price, (V,)."""
    best, least = np.zeros(len(importance), np.int64), np.full(len(importance), np.inf)
    for choice, (error, price) in enumerate(zip(errors, prices, strict=True)):
        cost = importance * error + price
        better = cost < least
        best[better], least[better] = choice, cost[better]
    return best


def _coded(table: Vectors, bits: NDArray[np.uint8], levels: Mapping[int, Vectors]) -> CodedRows:
    scales, codes = np.zeros(len(table), np.float32), {}
    for value in map(int, np.unique(bits[bits > 0])):
        rows = table[bits == value]
        places = _places(_scaled(rows), levels[value])
        scales[bits == value] = _fitting(rows, levels[value][places])
        codes[value] = packed(places, value)
    used = {value: levels[value] for value in codes}
    return CodedRows(table.shape[1], bits, scales, used, codes)


def _fitting(rows: Vectors, stood_for: Vectors) -> Vectors:
    """Scales of `stood_for` (n, d) with the least squared error, (n,): x·y / y·y."""
    products, squares = np.einsum("nd,nd->n", rows, stood_for), _squares(stood_for)
    scales = np.zeros(len(rows))
    np.divide(products, squares, out=scales, where=squares > 0)
    return scales.astype(np.float32)


def _levels(table: Vectors, bits: int) -> Vectors:
    """The 2^bits levels of the least squared error on the scaled numbers of a table, rising."""
    numbers = np.sort(_sample(table))
    # where many levels lie best for normal numbers (Panter and Dite, 1951): from quantiles the tails take long to fill
    levels = np.array([NormalDist(0, 3**0.5).inv_cdf((place + 0.5) / (1 << bits)) for place in range(1 << bits)])
    for _ in range(ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(numbers, (levels[1:] + levels[:-1]) / 2), [len(numbers)]])
        sums = np.diff(np.concatenate([[0], np.cumsum(numbers, dtype=np.float64)])[edges])
        counts = np.diff(edges)
        levels = np.where(counts > 0, sums / np.maximum(counts, 1), levels)
    return np.sort(levels).astype(np.float32)


def _error(table: Vectors, levels: Vectors | None) -> float:
    """Squared error of levels, none of which is 0 bits, as a share of the square of what they stand for."""
    if levels is None:
        return 1.0
    numbers = _sample(table)
    stood_for = levels[_places(numbers, levels)]
    return float(np.square(numbers - stood_for).sum() / max(np.square(numbers).sum(), 1e-30))


def _sample(table: Vectors) -> Vectors:
    """Scaled numbers of rows spread over the table."""
    step = max(1, table.size // FITTED_NUMBERS)
    return _scaled(table[::step]).ravel()


def _scaled(rows: Vectors) -> Vectors:
    """Rows (n, d) with a mean square of 1; those of zeros stay so."""
    sizes = np.sqrt(_squares(rows) / rows.shape[1])[:, None]
    scaled: Vectors = (rows / np.where(sizes > 0, sizes, 1)).astype(np.float32)
    return scaled


def _places(numbers: Vectors, levels: Vectors) -> NDArray[np.uint8]:
    """The nearest level of each number."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, numbers).astype(np.uint8)


def _squares(rows: Vectors) -> Numbers:
    squares: Numbers = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return squares
