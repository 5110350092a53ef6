"""Tables of few bits: against naive packing and an exhaustive search, and what must stay."""

from itertools import product

import numpy as np
import pytest

from nearfar.compress import tables
from nearfar.compress.tables import METHODS, compressed, smallest_bytes, token_weights
from nearfar.core.coded_rows import packed, restored, unpacked
from nearfar.core.errors import BadInput
from nearfar.core.ragged import Ragged


def table(rows=60, dimension=20, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def weights(rows=60):
    return 1.0 / (1 + np.arange(rows)) ** 2


def relative(found, wanted):
    return float(((found - wanted) ** 2).sum() / (wanted**2).sum())


@pytest.mark.parametrize("bits", range(1, 9))
def test_packed_bits_lie_one_after_the_other(bits):
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (5, 11)).astype(np.uint8)
    found = packed(codes, bits)
    assert found.shape == (5, -(-11 * bits // 8))
    for row, stored in zip(codes, found, strict=True):
        assert int.from_bytes(stored.tobytes(), "little") == sum(int(c) << (bits * i) for i, c in enumerate(row))
    assert np.array_equal(unpacked(found, bits, 11), codes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_the_budget_is_kept_and_a_larger_one_serves_texts_better(method, share):
    rows = table()
    least, most = smallest_bytes(60, 20, "even"), smallest_bytes(60, 20, "even") + 60 * 20
    budgets = [least + int(share * part * (most - least)) for part in (0.1, 0.5, 1)]
    found = [compressed(rows, weights(), budget, method) for budget in budgets]
    for coded, budget in zip(found, budgets, strict=True):
        assert coded.size_bytes <= budget
    errors = [float((weights()[:, None] * (coded.decode() - rows) ** 2).sum()) for coded in found]
    assert errors == sorted(errors, reverse=True)


def test_eight_bits_are_nearly_exact_and_levels_beat_uniform_ones():
    rows = table(200, 64)
    full = compressed(rows, weights(200), 10**6, "even")
    assert set(full.bits) == {8}
    assert relative(full.decode(), rows) < 2e-4
    two = compressed(rows, np.ones(200), smallest_bytes(200, 64, "even") + 200 * 8, "even")
    assert relative(two.decode(), rows) < 0.16  # 0.1175 for normal numbers at 2 bits (Max, 1960); some have 1 or 3 here


def test_bits_are_those_of_an_exhaustive_search():
    rows = table(4, 16)
    importance = tables.METHODS["mixed"].importance(rows, weights(4))
    levels = {bits: tables._levels(rows, bits) for bits in range(1, 9)}
    errors = np.array([tables._error(rows, levels.get(bits)) for bits in range(9)])
    for budget in range(smallest_bytes(4, 16, "mixed"), smallest_bytes(4, 16, "mixed") + 60, 7):
        bits = compressed(rows, weights(4), budget, "mixed").bits
        used = 2 * int(bits.sum())
        best = min(
            float((importance * errors[list(c)]).sum()) for c in product(range(9), repeat=4) if 2 * sum(c) <= used
        )
        assert float((importance * errors[bits]).sum()) == pytest.approx(best)


def test_rows_that_weigh_more_get_more_bits_and_even_drops_none():
    rows = np.ones((60, 1), np.float32) * table(1, 20)
    budget = smallest_bytes(60, 20, "even") + 60
    mixed, even = (compressed(rows, weights(), budget, method) for method in ("mixed", "even"))
    assert list(mixed.bits) == sorted(mixed.bits, reverse=True)
    assert mixed.bits[0] > mixed.bits[-1]
    assert even.bits.min() >= 1


def test_decoded_rows_are_the_same_after_the_arrays_were_stored():
    coded = compressed(table(), weights(), smallest_bytes(60, 20, "even"), "mixed")
    again = restored({name: array.copy() for name, array in coded.state().items()})
    assert np.array_equal(again.decode(), coded.decode())
    assert coded.size_bytes == sum(array.nbytes for array in again.state().values())


def test_zero_rows_stay_zero():
    rows = table()
    rows[7] = 0
    assert not compressed(rows, weights(), 10**5, "even").decode()[7].any()
    assert not compressed(np.zeros_like(rows), weights(), 10**5, "even").decode().any()


def test_token_weights_are_mean_squared_shares():
    texts = [[0, 0, 1], [2], [], [1, 1, 1, 1]]
    naive = np.zeros(4)
    for text in texts:
        for token in set(text):
            naive[token] += (text.count(token) / len(text)) ** 2 / len(texts)
    assert token_weights(Ragged.of(texts), 4) == pytest.approx(naive)


def refusal(do):
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_budget_works_and_less_is_refused_with_it(method):
    least = smallest_bytes(60, 20, method)
    assert compressed(table(), weights(), least, method).size_bytes <= least
    assert f"at least {least:,} bytes" in refusal(lambda: compressed(table(), weights(), least - 1, method))


def test_what_cannot_be_compressed_is_refused():
    bad = table()
    bad[3, 2] = np.nan
    assert "token 3" in refusal(lambda: compressed(bad, weights(), 10**5, "even"))
    assert "did you mean 'mixed'" in refusal(lambda: compressed(table(), weights(), 10**5, "mixd"))


@pytest.mark.parametrize("harm", ["bits", "scales", "codes", "levels", "dimension"])
def test_foreign_arrays_are_refused(harm):
    state = dict(compressed(table(), weights(), 10**5, "even").state())
    name = next(name for name in state if name.startswith(harm))
    missing = {key: array for key, array in state.items() if key != name}
    assert "arrays of a compressed table" in refusal(lambda: restored(missing))
    assert "arrays of a compressed table" in refusal(lambda: restored({**state, name: state[name][:0]}))
