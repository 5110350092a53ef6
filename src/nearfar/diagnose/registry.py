"""Every failure mode by its name: the rule that looks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nearfar.diagnose import collapse, drift, false_negatives, overfit, shortcut
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
    false_negatives.NAME: Failure(
        false_negatives.diagnose,
        "answers among the negatives of a batch",
        "MinHash (Broder, 1997); NV-Retriever (Moreira et al., 2024)",
    ),
    shortcut.NAME: Failure(
        shortcut.diagnose,
        "tokens that query and document share decide in place of the meaning",
        "shortcut learning (Geirhos et al., 2020)",
    ),
    overfit.NAME: Failure(
        overfit.diagnose,
        "good on queries of the forms trained on, and on no others",
        "guide, section 7",
    ),
    drift.NAME: Failure(
        drift.diagnose,
        "an index whose vectors are not those of the model that asks it",
        "CKA (Kornblith et al., 2019); Procrustes (Schönemann, 1966)",
    ),
}
