import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.encoder.packing import PADDING, SLACK_TOKENS, pack, pad

LENGTHS = st.lists(st.integers(0, 300), max_size=80).map(lambda x: np.array(x, np.int64))
BUDGETS = st.integers(1, 2000)


@given(LENGTHS, BUDGETS)
def test_every_row_is_in_one_micro_batch(lengths, budget):
    parts = pack(lengths, budget).micro_batches
    assert sorted(int(i) for part in parts for i in part) == list(range(len(lengths)))
    assert all(len(part) for part in parts)


@given(LENGTHS, BUDGETS)
def test_the_budget_and_the_padding_are_kept(lengths, budget):
    for part in pack(lengths, budget).micro_batches:
        own = lengths[part]
        padded = len(part) * own.max()
        assert own[0] == own.max()
        assert len(part) == 1 or padded <= budget
        assert padded - own.sum() <= max(PADDING * padded, SLACK_TOKENS)


@given(LENGTHS, BUDGETS)
def test_tokens_are_counted(lengths, budget):
    packing = pack(lengths, budget)
    assert packing.real_tokens == sum(lengths)
    assert packing.padded_tokens == sum(len(part) * max(lengths[part]) for part in packing.micro_batches)
    assert packing.padded_ratio >= 1 or not packing.real_tokens


@given(LENGTHS, BUDGETS)
def test_longest_first_and_equal_lengths_in_order(lengths, budget):
    order = [int(i) for part in pack(lengths, budget).micro_batches for i in part]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [512, 2000])
@pytest.mark.parametrize("budget", [768, 4096])
def test_little_is_padding_in_a_realistic_mix(seed, rows, budget):
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(4.0, 0.9, rows), 4, 256).astype(np.int64)
    packing = pack(lengths, budget)
    assert packing.padded_ratio <= 1.05
    assert len(packing.micro_batches) < rows / 2


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.booleans())
def test_padding_stands_on_the_asked_side(lengths, left):
    rows = [np.arange(1, n + 1, dtype=np.int32) for n in lengths]
    ids, mask = pad(rows, 77, left=left)
    assert ids.shape == mask.shape == (len(rows), max(lengths))
    for row, numbers, shown in zip(rows, ids, mask, strict=True):
        assert numbers[shown == 1].tolist() == row.tolist()
        assert set(numbers[shown == 0].tolist()) <= {77}
        assert shown.tolist() == sorted(shown.tolist(), reverse=not left)


def test_nothing_to_pack():
    packing = pack(np.empty(0, np.int64), 100)
    assert packing.micro_batches == []
    assert packing.padded_ratio == 0
    assert pad([], 0, left=False)[0].shape == (0, 0)
