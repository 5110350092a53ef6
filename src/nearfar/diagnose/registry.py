"""Every failure mode by its name: the rule that looks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nearfar.diagnose import collapse, shortcut
from nearfar.diagnose.evidence import Evidence
from nearfar.diagnose.finding import Finding


@dataclass(frozen=True)
class Failure:
    """A rule, what it looks for, and where it comes from."""

    diagnose: Callable[[Evidence], Finding]
    purpose: str
    source: str


FAILURES: Mapping[str, Failure] = {
    collapse.NAME: Failure(
        collapse.diagnose,
        "all texts in one place, or in few dimensions",
        "RankMe (Garrido et al., 2023); Wang and Isola (2020)",
    ),
    shortcut.NAME: Failure(
        shortcut.diagnose,
        "tokens that query and document share decide in place of the meaning",
        "shortcut learning (Geirhos et al., 2020)",
    ),
}
