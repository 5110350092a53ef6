"""What is probed and chosen, for qualities that are known: against trying everything."""

import itertools

import numpy as np
import pytest

from nearfar.evaluate.statistics import interval
from nearfar.pipeline.halving import BUDGETS, SHARES, Axis, Difference, Search, Spent
from nearfar.pipeline.probe import Probe

RATES, HEATS, LOSSES = (1, 2, 4, 8, 16), (0.02, 0.05, 0.1), ("a", "b", "c")
AXES = (Axis("rate", RATES), Axis("heat", HEATS), Axis("loss", LOSSES, ordered=False))
QUERIES = 200


def quality(rate, heat, loss):
    """With one best place, (8, 0.1, "c")."""
    return 0.8 - 0.05 * abs(RATES.index(rate) - 3) - 0.04 * (2 - HEATS.index(heat)) - 0.03 * (2 - LOSSES.index(loss))


def scores(mean, noise=0.0, seed=0):
    values = np.random.default_rng(seed).normal(0, 1, QUERIES) * noise
    return tuple((mean + values - values.mean()).tolist())


class Measured:
    """Makes probes of `quality` that take their share of a second, and counts them."""

    def __init__(self, budget=1e9, of=quality, seconds=lambda _candidate: 1.0, noise=0.001):
        self.budget, self.of, self.seconds, self.noise = budget, of, seconds, noise
        self.spent, self.asked = 0.0, []

    def __call__(self, candidate, share, part):
        seconds = share * self.seconds(candidate)
        if self.spent + seconds > part * self.budget + 1e-9:
            raise Spent
        self.spent += seconds
        self.asked.append((candidate, share))
        return Probe({}, share, scores(self.of(*candidate) * share**0.1, self.noise, seed=len(self.asked)), seconds)


def searched(given=(1, 0.02, "a"), **settings):
    measured = Measured(**settings)
    search = Search(AXES, given, measured)
    search.run()
    return search, measured


@pytest.mark.parametrize("given", itertools.product(RATES[::2], HEATS, LOSSES))
def test_it_finds_what_trying_everything_finds(given):
    search, measured = searched(given)
    assert search.chosen() == max(itertools.product(RATES, HEATS, LOSSES), key=lambda c: quality(*c))
    assert len(measured.asked) == len(set(measured.asked))
    assert measured.spent < 45 / 3  # a third of all trained in full


def test_the_budgets_of_the_rungs_are_kept():
    for budget in (2, 4, 8, 16):
        search, measured = searched(budget=budget)
        assert measured.spent <= budget
        sizes = [len(search.found[share]) for share in SHARES]
        assert sizes[0] > 1
        spent = np.cumsum([share * size for share, size in zip(SHARES, sizes, strict=True)])
        assert all(spent <= np.array(BUDGETS) * budget + 1e-9)


def test_a_larger_budget_goes_on_where_a_smaller_one_stopped():
    first = [probe for probe in searched(budget=2)[1].asked if probe[1] == SHARES[0]]
    more = [probe for probe in searched(budget=5)[1].asked if probe[1] == SHARES[0]]
    assert 1 < len(first) < len(more)
    assert more[: len(first)] == first


def test_candidates_shown_to_be_worse_are_not_promoted():
    axis = Axis("n", tuple(range(40)))
    search = Search((axis,), (0,), Measured(of=lambda n: 0.5 - 0.001 * n))
    noisy = {(n,): Probe({}, SHARES[0], scores(0.5 - 0.01 * n, 0.1, seed=n)) for n in range(40)}
    search.found[SHARES[0]] |= noisy
    search._promote(*SHARES)
    promoted = list(search.found[SHARES[1]])
    assert 1 < len(promoted) < 40 * SHARES[0]
    assert promoted == [(n,) for n in range(len(promoted))]
    for n in range(len(promoted) + 1):
        paired = np.array(noisy[0,].scores) - np.array(noisy[n,].scores)
        low, _ = interval(paired, seed=0, resamples=1999)
        assert (low <= 0) == (n < len(promoted))


def test_of_many_that_tie_a_third_goes_up():
    search = Search((Axis("n", tuple(range(40))),), (0,), Measured(of=lambda n: 0.5))
    search.found[SHARES[0]] |= {(n,): Probe({}, SHARES[0], scores(0.5, 0.1, seed=n)) for n in range(40)}
    search._promote(*SHARES)
    assert len(search.found[SHARES[1]]) == 14


def test_the_best_on_most_pairs_is_chosen_however_little_it_is_better():
    search = Search((Axis("n", (0, 1, 2)),), (0,), Measured())
    search.found[SHARES[0]] |= {(n,): Probe({}, SHARES[0], scores(0.5 + 0.1 * n)) for n in range(3)}
    assert search.chosen() == (2,)
    search.found[1.0][0,] = Probe({}, 1.0, scores(0.9, 0.1))
    assert search.chosen() == (2,)  # nothing is compared by one probe
    search.found[1.0][1,] = Probe({}, 1.0, scores(0.9001, 0.1, seed=1), seconds=99.0)
    assert search.chosen() == (1,)


def test_a_side_is_left_when_the_other_was_better():
    for given, expected in ((4, [4, 2, 8, 16]), (16, [16, 8, 4])):
        _, measured = searched((given, 0.02, "a"))
        assert [candidate[0] for candidate, _ in measured.asked[: len(expected)]] == expected


def test_a_probe_that_failed_is_worse_than_any():
    good, failed = Probe({}, 1.0, scores(0.1)), Probe({}, 1.0, (), problem="no teacher scores")
    assert Difference.of(good, failed).low > 0
    assert not Difference.of(failed, good).tie
    search, _ = searched(of=lambda rate, heat, loss: quality(rate, heat, loss) if loss != "c" else 0.0)
    assert search.chosen() == (8, 0.1, "b")


def test_alternatives_differ_in_one_setting_and_are_as_near_as_can_be():
    search, _ = searched(budget=2)
    chosen = search.chosen()
    for axis in range(3):
        told = {other[axis]: (share, one, other) for share, one, other in search.alternatives(chosen, axis)}
        found = {}
        for share, probes in search.found.items():
            for one, other in itertools.permutations(probes, 2):
                same = [a == b for a, b in zip(one, other, strict=True)]
                if one[axis] == chosen[axis] and same.count(False) == 1 and not same[axis]:
                    near = sum(a == b for a, b in zip(one, chosen, strict=True))
                    found.setdefault(other[axis], []).append((near, share, one, other))
        assert told.keys() == found.keys()
        for value, (share, one, other) in told.items():
            assert max(found[value])[:2] == (sum(a == b for a, b in zip(one, chosen, strict=True)), share)
            assert (one, other) in [pair[2:] for pair in found[value]]


def test_with_a_budget_for_one_probe_the_settings_given_stay():
    search, measured = searched(budget=2 * SHARES[0])
    assert len(measured.asked) == 1
    assert search.chosen() == search.given


def test_what_does_not_fit_is_left_out_and_the_next_is_tried():
    axis = Axis("n", tuple(range(8)))
    measured = Measured(budget=1.0, of=lambda n: 0.5, seconds=lambda candidate: 9.0 if candidate == (0,) else 1.0)
    search = Search((axis,), (0,), measured)
    search.found[SHARES[0]] |= {(n,): Probe({}, SHARES[0], scores(0.5 - 0.001 * n, 0.1, seed=n)) for n in range(8)}
    search._promote(*SHARES)
    assert list(search.found[1.0]) == [(1,)]


def test_the_verdict_compares_with_the_settings_given_wherever_they_were_left_behind():
    from nearfar.pipeline.config import FitConfig
    from nearfar.pipeline.tuned import Tuned

    for budget in (2, 4, 6, 8, 1e9):
        search, measured = searched(budget=budget)
        told = Tuned(search, FitConfig(), budget, measured.spent, 0, None).verdict
        assert " over the settings given" in told
        assert told.endswith((" of the pairs).", " all pairs)."))
        last = search.given in search.found[SHARES[-1]]
        assert last == (budget == 1e9)


@pytest.mark.parametrize(("noise", "loss"), [(0.001, "c"), (2.0, "a")])
def test_another_loss_must_be_shown_to_be_better(noise, loss):
    """The same gain each time; among noisy queries it may be chance."""
    search, _ = searched((8, 0.1, "a"), noise=noise)
    assert search.chosen() == (8, 0.1, loss)
