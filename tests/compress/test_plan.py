"""What a compression plan looks at, and what it recommends."""

from dataclasses import replace

import pytest

from nearfar.compress.plan import Point, choose, frontier, sizes_of
from nearfar.compress.registry import CODECS
from nearfar.core.errors import BadInput
from nearfar.evaluate.statistics import Share


def point(codec, size, chosen_by, kept=0.5):
    return Point(codec, size, chosen_by, Share(kept, kept - 0.1, kept + 0.1), {"ndcg@10": kept}, {}, 1.0, 1.0, 100)


POINTS = [point("a", 64, 0.95), point("b", 32, 0.9, kept=0.4), point("c", 32, 0.8, kept=0.9), point("a", 16, 0.9),
          point("b", 16, 0.7), point("c", 128, 0.95)]  # fmt: skip


def test_the_frontier_keeps_what_nothing_as_small_beats():
    assert [(one.codec, one.size_bytes) for one in frontier(POINTS)] == [("a", 16), ("a", 64)]


def test_the_choice_looks_at_the_queries_to_choose_with_alone():
    assert choose(POINTS[:3], 32).codec == "b"
    assert choose([replace(POINTS[1], chosen_by=0.7), POINTS[2]], 32).codec == "c"


def test_of_equal_ones_the_smallest_is_chosen():
    assert choose(POINTS, 32) == POINTS[3]
    assert choose(POINTS, 128) == POINTS[0]


def test_a_budget_below_all_is_refused():
    with pytest.raises(BadInput, match=r"budget: expected 16 bytes or more, .* found 8; raise it"):
        choose(POINTS, 8)


@pytest.mark.parametrize(
    ("codec", "budget", "sizes"),
    [
        ("truncate", 32, [32, 16, 8, 64, 128, 256]),
        ("truncate", 40, [40, 32, 16, 8, 64, 128, 256]),
        ("truncate", 4, [4, 8, 16, 32, 64, 128, 256]),
        ("int8", 32, [384]),
        ("int8", 1000, [384]),
        ("binary", 48, [48]),
    ],
)
def test_the_budget_comes_first_and_the_largest_last(codec, budget, sizes):
    assert sizes_of(CODECS[codec], 384, budget) == sizes
