"""What `tune` chose, and why: for people, as JSON, and as comments of the YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.config import merged
from nearfar.evaluate.statistics import interval
from nearfar.pipeline.config import MAIN_METRIC, FitConfig
from nearfar.pipeline.halving import RESAMPLES, SHARES, Candidate, Difference, Search
from nearfar.pipeline.probe import Probe

MARK = "tuned:"  # begins every comment that `tune` writes
SHOWN = "nDCG@10"


@dataclass(frozen=True)
class Tuned:
    """The settings chosen, and every probe they were chosen by."""

    search: Search
    given: FitConfig
    budget_s: float
    seconds: float  # of all probes, those of earlier calls included
    fresh: int  # probes made by this call
    path: Path | None  # the YAML file written

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The values chosen, by their field of `train`."""
        return self._named(self._chosen)

    @cached_property
    def config(self) -> FitConfig:
        """The settings given, with the values chosen."""
        given = self.given.model_dump(exclude_unset=True)
        return FitConfig.parse(merged(given, {"train": self.settings}), "tune")

    @property
    def probes(self) -> dict[float, Mapping[Candidate, Probe]]:
        """The probes by their share of the pairs."""
        return {share: dict(probes) for share, probes in self.search.found.items()}

    @cached_property
    def verdict(self) -> str:
        """One sentence: what is chosen, and how it compares with the settings given."""
        chosen, given = self._chosen, self.search.given
        if len(self._compared) < 2:
            return "Nothing was compared: the settings given stay."
        place = f"{self._queries} dev queries, trained on {shown_share(self.search.rung)}"
        if chosen == given:
            return f"The settings given are the best found ({SHOWN} {self._mean(given)}, {place})."
        return f"{self._changes(chosen)}: {SHOWN} {self._mean(chosen)}, {self._over_given()} ({place})."

    def header(self) -> str:
        """Comment lines for the top of the YAML file."""
        count = sum(map(len, self.search.found.values()))
        lines = (f"by nearfar tune: {count} probes, {self.seconds:.0f} s of a budget of {self.budget_s:.0f} s",
                 self.verdict)  # fmt: skip
        return "".join(f"# {MARK} {line}\n" for line in lines)

    def notes(self) -> dict[str, list[str]]:
        """Comment lines for each tuned field: the other values it was compared with, all else being equal."""
        notes = {}
        for number, axis in enumerate(self.search.axes):
            pairs = self.search.alternatives(self._chosen, number)
            lines = [self._against(number, *pair) for pair in pairs]
            notes[f"train.{axis.name}"] = lines or ["not compared with another value by itself"]
        return notes

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        rows = [{"settings": self._named(candidate), "share": share, MAIN_METRIC: probe.mean,
                 "interval": list(_interval(probe)), "seconds": probe.seconds, "steps": probe.steps,
                 "problem": probe.problem}
                for share, probes in self.search.found.items() for candidate, probe in probes.items()]  # fmt: skip
        return {"chosen": self.settings, "given": self._named(self.search.given), "verdict": self.verdict,
                "why": self.notes(), "dev_queries": self._queries, "seconds": round(self.seconds, 3),
                "budget_seconds": self.budget_s, "fresh": self.fresh, "probes": rows,
                "path": str(self.path) if self.path else None}  # fmt: skip

    @property
    def _chosen(self) -> Candidate:
        return self.search.chosen()

    @property
    def _compared(self) -> Mapping[Candidate, Probe]:
        """The probes of the highest rung on which something was compared."""
        return self.search.found[self.search.rung]

    @property
    def _queries(self) -> int:
        return len(next(probe.scores for probe in self._compared.values() if probe.scores))

    def _named(self, candidate: Candidate) -> dict[str, Any]:
        return {axis.name: value for axis, value in zip(self.search.axes, candidate, strict=True)}

    def _changes(self, candidate: Candidate) -> str:
        given = self._named(self.search.given)
        return ", ".join(f"{name} {value}" for name, value in self._named(candidate).items() if value != given[name])

    def _mean(self, candidate: Candidate) -> str:
        probe = self._compared[candidate]
        low, high = _interval(probe)
        return f"{probe.mean:.3f}, 95 % interval {low:.3f} to {high:.3f}"

    def _over_given(self) -> str:
        """The difference from the settings given, on the largest share on which they and the choice were probed.

        Where they were left behind before the choice was found, it is what left them behind that is compared.
        """
        found, given = self.search.found, self.search.given
        shares = [share for share in reversed(SHARES) if given in found[share]]
        share = next((share for share in shares if self._chosen in found[share]), shares[0])
        one = self._chosen if self._chosen in found[share] else self.search.ranked(share)[0]
        who = "" if one == self._chosen else f" of {self._changes(one)}"
        where = "" if share == self.search.rung else f", on {shown_share(share)}"
        return f"{_shown(Difference.of(found[share][one], found[share][given]))}{who} over the settings given{where}"

    def _against(self, axis: int, share: float, one: Candidate, other: Candidate) -> str:
        first, second = (self.search.found[share][candidate] for candidate in (one, other))
        if not second.scores:
            return f"not {other[axis]}: {second.problem}"
        elsewhere = {name: value for name, value in self._named(one).items() if value != self.settings[name]}
        beside = "".join(f", with {name} {value}" for name, value in elsewhere.items())
        return (f"against {other[axis]}: {_shown(Difference.of(first, second))} dev {SHOWN} on {shown_share(share)}"
                f"{beside}, {first.seconds + second.seconds:.1f} s")  # fmt: skip


def shown_share(share: float) -> str:
    """A share of the training pairs in words."""
    return "all pairs" if share == 1 else f"1/{round(1 / share)} of the pairs"


def _shown(difference: Difference) -> str:
    tie = ", a tie" if difference.tie else ""
    return f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}{tie})"


def _interval(probe: Probe) -> tuple[float, float]:
    return interval(np.array(probe.scores), seed=0, resamples=RESAMPLES) if probe.scores else (0.0, 0.0)
