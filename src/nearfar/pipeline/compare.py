"""`compare`: which of several systems is better on the same queries, and how small a difference could be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item, as_dataset
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.evaluate.statistics import Comparison, compare, decide, detectable, holm
from nearfar.pipeline.config import LEXICAL, MAIN_METRIC
from nearfar.pipeline.evaluate import Evaluation, evaluate, with_split
from nearfar.pipeline.progress import Reporter, Silent

LEVEL = 0.05  # of significance; shared by all pairs
EXAMPLES = 5  # queries won, and as many lost


@dataclass(frozen=True)
class Duel:
    """System `a` against system `b`."""

    a: str
    b: str
    comparison: Comparison
    corrected: float  # p-value after Holm's correction for all pairs of systems
    verdict: str  # better, worse, cannot tell: of a, with the corrected p-value
    detectable: float  # the smallest difference that would be seen in four of five such experiments
    won: tuple[tuple[str, float], ...]  # queries with the largest gain of a, and the gain
    lost: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Compared:
    """Means of all systems, and every pair of them, the best first."""

    metric: str
    queries: int
    means: Mapping[str, float]
    duels: tuple[Duel, ...]


def compare_systems(
    models: Sequence[str | Path],
    data: Dataset | str | Path | Sequence[Item],
    *,
    split: str = "test",
    metric: str = MAIN_METRIC,
    config: DataConfig | None = None,
    reporter: Reporter | None = None,
) -> Compared:
    """Measure systems (runs, model folders, names of bases, "bm25") on the same queries, and test every pair.

    Raises:
        BadInput: fewer than two systems, one named twice, or one of them or the data cannot be read.
    """
    names = [str(model) for model in models]
    if len(names) < 2 or len(set(names)) < len(names):
        raise BadInput.at("compare", expected="two or more different systems", found=", ".join(names) or "none",
                          do="name each once, such as: nearfar compare run bm25 --data D")  # fmt: skip
    config, reporter = config or DataConfig(), reporter or Silent()
    dataset, found = with_split(as_dataset(data, config), split, config), {}
    for name, system in _opened(names).items():
        found[name] = evaluate(system, dataset, split=split, metrics=[metric], config=config, reporter=reporter)
        reporter.say(f"{name}: {metric} {found[name].metrics[metric]:.4f}")
    ranked = sorted(names, key=lambda name: -found[name].metrics[metric])
    texts = [dataset.queries.texts[row] for row in found[names[0]].queries]
    return Compared(metric, len(texts), {name: found[name].metrics[metric] for name in ranked},
                    _duels(ranked, found, metric, texts))  # fmt: skip


def _opened(names: Sequence[str]) -> dict[str, str | Encoder]:
    """Every system, opened before the first is measured: a wrong name is told at once."""
    opened: dict[str, str | Encoder] = {name: name if name == LEXICAL else load_encoder(name) for name in names}
    known: dict[str, str] = {}
    for name, system in opened.items():
        content = system if isinstance(system, str) else system.fingerprint()
        if content in known:
            raise BadInput.at("compare", expected="different systems", found=f"'{known[content]}' and '{name}', which "
                              "are the same model", do="leave one of them out")  # fmt: skip
        known[content] = name
    return opened


def _duels(
    names: Sequence[str], found: Mapping[str, Evaluation], metric: str, texts: Sequence[str]
) -> tuple[Duel, ...]:
    scores = {name: found[name].per_query[metric] for name in names}
    pairs = list(combinations(names, 2))
    compared = [compare(scores[a], scores[b], seed=0) for a, b in pairs]
    corrected = holm([one.p_value for one in compared])
    return tuple(
        Duel(a, b, one, value, decide(one, p_value=value), detectable(scores[a] - scores[b], level=LEVEL / len(pairs)),
             **_examples(scores[a] - scores[b], texts))
        for (a, b), one, value in zip(pairs, compared, corrected, strict=True)
    )  # fmt: skip


def _examples(difference: NDArray[np.float64], texts: Sequence[str]) -> dict[str, Any]:
    order = np.argsort(-difference, kind="stable")
    sides = {"won": [row for row in order[:EXAMPLES] if difference[row] > 0],
             "lost": [row for row in order[::-1][:EXAMPLES] if difference[row] < 0]}  # fmt: skip
    return {side: tuple((texts[row], float(difference[row])) for row in rows) for side, rows in sides.items()}
