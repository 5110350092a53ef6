"""Which settings to probe next: one at a time along a line, then the best of them on more and more of the data.

Nothing here trains: `measure` is handed in, and every decision is a function of what it returned. So the same probes in
the same order are asked for at every call, and a larger budget goes on where a smaller one has stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfar.evaluate.statistics import interval
from nearfar.pipeline.probe import Probe

SHARES = (1 / 9, 1 / 3, 1.0)  # of the training pairs, in the rungs; a third of the candidates goes up
BUDGETS = (0.6, 0.8, 1.0)  # share of the budget that is spent when a rung ends, at most
RESAMPLES = 1999
LEAST = 0.005  # nDCG@10 that is not given up for less time or the settings given, though the interval may hold zero
SLOWER = 1.25  # times the seconds: less is chance

Candidate = tuple[Any, ...]  # a value for each axis


@dataclass(frozen=True)
class Axis:
    """A setting and the values it can have, in order; of unordered ones each is next to all others."""

    name: str
    values: tuple[Any, ...]
    ordered: bool = True

    def lines(self, value: Any) -> Iterator[Sequence[Any]]:
        """Values to try after `value`, of which each is worth trying when the one before it was better."""
        place = self.values.index(value)
        below, above = self.values[:place][::-1], self.values[place + 1 :]
        return iter((below, above)) if self.ordered else iter([(other,) for other in below[::-1] + above])


class Spent(Exception):
    """The next probe would not end within the budget."""


Measure = Callable[[Candidate, float, float], Probe]  # candidate, share of the pairs, share of the budget; or Spent


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences in nDCG@10 over the dev queries, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, one: Probe, other: Probe) -> Difference:
        """`one` minus `other`."""
        if not (one.scores and other.scores):
            lost = math.copysign(math.inf, one.mean - other.mean)
            return cls(lost, lost, lost)
        paired = np.array(one.scores) - np.array(other.scores)
        return cls(float(paired.mean()), *interval(paired, seed=0, resamples=RESAMPLES))

    @property
    def tie(self) -> bool:
        """Whether the interval holds zero."""
        return self.low <= 0 <= self.high


@dataclass
class Search:
    """Successive halving (Jamieson and Talwalkar, 2016) of what coordinate descent finds from the settings given.

    The first rung is the descent, on a ninth of the pairs: each axis in turn is followed as long as it gets better.
    Those of its candidates that tie with the best, a third of all at most, are probed on a third of the pairs, and of
    these again on all. What is left of the budget goes on with the descent there, where nothing is cut short.
    """

    axes: tuple[Axis, ...]
    given: Candidate  # the settings as they are
    measure: Measure
    found: dict[float, dict[Candidate, Probe]] = field(default_factory=lambda: {share: {} for share in SHARES})

    def run(self) -> None:
        """Probe until nothing is left to compare, or `measure` says that the budget is spent."""
        for rung in range(len(SHARES)):
            try:
                if rung == 0:
                    self._descend(self.given, rung)
                self._promote(rung)
                if rung == len(SHARES) - 1 and self.found[SHARES[rung]]:
                    self._descend(self._ranked(rung)[0], rung)
                    self._probe(self.given, rung)  # so that what is gained is known in full
            except Spent:
                continue  # with the next rung, which has a budget of its own

    @property
    def rung(self) -> float:
        """The highest share on which something was compared."""
        return next((share for share in reversed(SHARES) if len(self.found[share]) > 1), SHARES[0])

    def chosen(self) -> Candidate:
        """The best candidate of that rung; the settings given where they tie with it, else the fastest that does."""
        probes = self.found[self.rung]
        tied = self.tied(SHARES.index(self.rung), LEAST)
        return min(tied, key=lambda candidate: (candidate != self.given, probes[candidate].seconds))

    def tied(self, rung: int, most: float = math.inf) -> list[Candidate]:
        """Candidates of a rung not shown to be worse than its best one, and at `most` so much below it; best first."""
        probes, ranked = self.found[SHARES[rung]], self._ranked(rung)
        below = {one: Difference.of(probes[ranked[0]], probes[one]) for one in ranked}
        return [one for one in ranked if one == ranked[0] or (below[one].tie and below[one].mean <= most)]

    def alternatives(self, chosen: Candidate, axis: int) -> Iterator[tuple[float, Candidate, Candidate]]:
        """For each other value of an axis a share, and two candidates that differ in that axis alone.

        The first has the value of `chosen`, and as much else of it as any such pair, on the largest such share.
        """
        pairs = [(share, one, other) for share, probes in self.found.items() for one in probes for other in probes
                 if one[axis] == chosen[axis] and _differing(one, other) == [axis]]  # fmt: skip
        for value in self.axes[axis].values:
            of_value = [pair for pair in pairs if pair[2][axis] == value]
            if of_value:
                yield max(of_value, key=lambda pair: (-len(_differing(pair[1], chosen)), pair[0]))

    def _promote(self, rung: int) -> None:
        """Probe the best of the rung below, and the settings given while they tie; what does not fit is left out."""
        below = next((lower for lower in reversed(range(rung)) if self.found[SHARES[lower]]), None)
        if below is None:
            return
        tied = self.tied(below)
        first = tied[: max(1, math.ceil(len(self.found[SHARES[below]]) / 3))]
        others = [self.given] if self.given in tied and self.given not in first else []
        for candidate in (*first[:1], *others, *first[1:]):
            with suppress(Spent):
                self._probe(candidate, rung)

    def _descend(self, candidate: Candidate, rung: int) -> None:
        """Follow each axis by turns, from the best found so far, until none leads further."""
        self._probe(candidate, rung)
        before = None
        while before != candidate:
            before = candidate
            for axis in range(len(self.axes)):
                candidate = self._along(candidate, axis, rung)

    def _along(self, candidate: Candidate, axis: int, rung: int) -> Candidate:
        for line in self.axes[axis].lines(candidate[axis]):
            for value in line:
                further = (*candidate[:axis], value, *candidate[axis + 1 :])
                if not _worth(self._probe(further, rung), self._probe(candidate, rung)):
                    break
                candidate = further
        return candidate

    def _probe(self, candidate: Candidate, rung: int) -> Probe:
        probes, share = self.found[SHARES[rung]], SHARES[rung]
        if candidate not in probes:
            probes[candidate] = self.measure(candidate, share, BUDGETS[rung])
        return probes[candidate]

    def _ranked(self, rung: int) -> list[Candidate]:
        probes = self.found[SHARES[rung]]
        return sorted(probes, key=lambda candidate: -probes[candidate].mean)


def _worth(one: Probe, other: Probe) -> bool:
    """Whether it is better, and by more than a tie where it is slower: few pairs flatter small batches."""
    if one.mean <= other.mean or one.seconds <= SLOWER * other.seconds:
        return one.mean > other.mean
    difference = Difference.of(one, other)
    return not (difference.tie and difference.mean <= LEAST)


def _differing(one: Candidate, other: Candidate) -> list[int]:
    return [axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
