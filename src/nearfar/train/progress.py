"""How far a run has come: what its curves are drawn from, and the JSON part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """State of a run after a step."""

    step: int = 0
    losses: tuple[float, ...] = ()
    learning_rates: tuple[float, ...] = ()
    dev: tuple[tuple[int, float], ...] = ()  # (steps done, metric)
    best_step: int = 0
    best: float = float("-inf")
    seconds: float = 0.0
    alarms: tuple[tuple[int, str, str], ...] = ()  # (step, failure, reason) of what the monitor has seen

    @property
    def stale(self) -> int:
        """Evaluations since the best one."""
        return sum(at > self.best_step for at, _ in self.dev)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Progress:
        """What `asdict` and JSON have made of one."""
        dev = tuple((int(step), float(metric)) for step, metric in values["dev"])
        alarms = tuple((int(step), str(failure), str(reason)) for step, failure, reason in values.get("alarms", ()))
        lists = {name: tuple(values[name]) for name in ("losses", "learning_rates")}
        return cls(**{**values, **lists, "dev": dev, "alarms": alarms})
