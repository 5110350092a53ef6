"""How long a request may have to wait for those before it."""

from __future__ import annotations

from dataclasses import dataclass, field

SHORTEST = 1 / 6  # of the longest wait
LESS, MORE = 0.9, 1.02  # by what a request that is refused, or let in, changes it


@dataclass
class Patience:
    """Up to `longest_s` where few are refused, so that a burst is answered; a sixth of it where most are.

    A queue that is always full makes every answer late and no answer more: the more is refused, the shorter it is kept.
    """

    longest_s: float
    now_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.now_s = self.longest_s

    def lets_in(self, delay_s: float) -> bool:
        """Whether a request may come that would wait so long."""
        if delay_s > self.now_s:
            self.now_s = max(LESS * self.now_s, SHORTEST * self.longest_s)
            return False
        self.now_s = min(MORE * self.now_s, self.longest_s)
        return True
