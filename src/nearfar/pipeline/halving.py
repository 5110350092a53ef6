"""Which settings to probe next: one at a time along a line on a third of the data, then from the best of them on all.

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

SHARES = (1 / 3, 1.0)  # of the training pairs, in the rungs; as large a share of the candidates goes up
BUDGETS = (0.6, 1.0)  # share of the budget that is spent when a rung ends, at most
RESAMPLES = 1999

Candidate = tuple[Any, ...]  # a value for each axis


@dataclass(frozen=True)
class Axis:
    """A setting and the values it can have, in order; of unordered ones each is next to all others."""

    name: str
    values: tuple[Any, ...]
    ordered: bool = True

    def lines(self, value: Any) -> Iterator[Sequence[Any]]:
        """Values to try after `value`: each if the one before it was better, a second line if the first led nowhere."""
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

    The first rung is the descent, on a third of the pairs: each axis in turn is followed as long as it gets better.
    Those of its candidates not shown to be worse than the best, a third of all at most, are probed on all pairs. What
    is left of the budget goes on with the descent there, from the best, where nothing is cut short.
    """

    axes: tuple[Axis, ...]
    given: Candidate  # the settings as they are
    measure: Measure
    found: dict[float, dict[Candidate, Probe]] = field(default_factory=lambda: {share: {} for share in SHARES})

    def run(self) -> None:
        """Probe until nothing is left to compare, or `measure` says that the budget is spent."""
        short, whole = SHARES
        with suppress(Spent):
            self._descend(self.given, short)
        self._promote(short, whole)
        if self.found[whole]:
            with suppress(Spent):
                self._descend(self._best(whole), whole)
                self._probe(self.given, whole)  # so that what is gained is known in full

    @property
    def rung(self) -> float:
        """The highest share on which something was compared."""
        return next((share for share in reversed(SHARES) if len(self.found[share]) > 1), SHARES[0])

    def chosen(self) -> Candidate:
        """The best candidate of that rung."""
        return self._best(self.rung)

    def _best(self, share: float) -> Candidate:
        """The best candidate on this share; one of another kind than the settings given if it is shown to be better."""
        ranked = self.ranked(share)
        alike = next((one for one in ranked if self._alike(one, self.given)), ranked[0])
        return next(one for one in ranked if one == alike or self._better(one, alike, share))

    def _better(self, one: Candidate, other: Candidate, share: float) -> bool:
        """Whether it is better on dev; between kinds, such as losses, the interval of the difference must say so."""
        probe, than = (self._probe(candidate, share) for candidate in (one, other))
        if self._alike(one, other) or probe.mean <= than.mean:
            return probe.mean > than.mean
        return Difference.of(probe, than).low > 0

    def _alike(self, one: Candidate, other: Candidate) -> bool:
        return all(a == b for axis, a, b in zip(self.axes, one, other, strict=True) if not axis.ordered)

    def ranked(self, share: float) -> list[Candidate]:
        """Candidates probed on this share, best first."""
        probes = self.found[share]
        return sorted(probes, key=lambda candidate: -probes[candidate].mean)

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

    def _promote(self, lower: float, upper: float) -> None:
        """Probe the best of a share, those of one kind, on a larger one; what does not fit is left out."""
        if not (probes := self.found[lower]):
            return
        best = self._best(lower)
        ranked = [one for one in self.ranked(lower) if self._alike(one, best)]
        tied = [one for one in ranked if Difference.of(probes[ranked[0]], probes[one]).low <= 0]
        for candidate in tied[: math.ceil(len(probes) * lower / upper)]:
            with suppress(Spent):
                self._probe(candidate, upper)

    def _descend(self, candidate: Candidate, share: float) -> None:
        """Follow each axis by turns, from the best found so far, until none leads further."""
        self._probe(candidate, share)
        before = None
        while before != candidate:
            before = candidate
            for axis in range(len(self.axes)):
                candidate = self._along(candidate, axis, share)

    def _along(self, candidate: Candidate, axis: int, share: float) -> Candidate:
        best = candidate
        for line in self.axes[axis].lines(candidate[axis]):
            for value in line:
                further = (*best[:axis], value, *best[axis + 1 :])
                if not self._better(further, best, share):
                    break
                best = further
            if best != candidate and self.axes[axis].ordered:
                break  # better on one side: what lies on the other is worse
        return best

    def _probe(self, candidate: Candidate, share: float) -> Probe:
        probes = self.found[share]
        if candidate not in probes:
            probes[candidate] = self.measure(candidate, share, BUDGETS[SHARES.index(share)])
        return probes[candidate]


def _differing(one: Candidate, other: Candidate) -> list[int]:
    return [axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
