"""Learning to rank, a cascade: trees order all candidates, a model reads the first of them, trees order these again."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.artifact import read_manifest
from nearfar.core.errors import BadInput, MissingExtra
from nearfar.index.settings import FOLDER, KIND, Settings
from nearfar.search.config import Mode
from nearfar.search.fusion import PAD, Candidates
from nearfar.search.ranking import Asked, Mask, Ranking
from nearfar.search.rerank import Budget, scores_read, texts_of
from nearfar.search.signals import signals, standing
from nearfar.search.trees import open_trees

if TYPE_CHECKING:
    from nearfar.encoder.encoder import Encoder
    from nearfar.encoder.pair_scorer import PairScorer

CHEAP, READ = "cheap.txt", "read.txt"  # LightGBM's own text, beside the settings
AGAIN = "learn again: nearfar index tune INDEX --data D --learn-to-rank"

Rows = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Learned:
    """The learned order of an index's documents (a cascade as of Wang, Lin and Metzler, 2011)."""

    cheap: Any  # lightgbm.Booster over `signals`
    read: Any = None  # over these and what the model read
    scorer: PairScorer | None = None
    depth: int = 0  # documents that the model reads, unless a budget ends before

    def best(self, ranking: Ranking, one: Asked, k: int, mode: Mode, allowed: Mask | None) -> tuple[Rows, Floats]:  # noqa: ARG002
        """Rows and scores of the best documents, (n,) each: those that were read, then the others in the cheap order.

        Scores of the two are of two scales.
        """
        candidates = pool(ranking, one, max(k, ranking.config.depth), allowed)
        budget = Budget.of(ranking.config.budget_ms)
        rows = candidates.rows[0][candidates.rows[0] != PAD]
        if not len(rows):
            return rows, np.empty(0, np.float32)
        texts = texts_of(ranking, rows)
        found = signals(ranking, one, candidates, texts)
        scores = predicted(self.cheap, found)
        order = np.argsort(-scores, kind="stable")
        if self.scorer is not None:
            first = [texts[row] for row in order[: self.depth]]
            read = scores_read(self.scorer, one.texts[0], first, budget)
            head = order[: len(read)].copy()
            again = predicted(self.read, with_read(found[head], scores[head], read)) if len(read) else read
            best = np.argsort(-again, kind="stable")
            order[: len(read)], scores[head] = head[best], again
        return rows[order[:k]], scores[order[:k]]


def pool(ranking: Ranking, one: Asked, depth: int, allowed: Mask | None = None) -> Candidates:
    """Candidates of both searches for one query; of passages, the best of each of the hybrid search's documents."""
    if ranking.of_row is None:
        return ranking.candidates(one, depth, allowed)
    rows = ranking.ranked(one, depth, "hybrid", allowed)[0][0]
    rows = np.sort(rows[rows != PAD])
    lexical = ranking.generation.lexicon.inverted.scores(one.terms[0], rows)
    return Candidates(rows[None], (ranking.vectors(rows) @ one.vectors[0])[None], lexical[None])


def with_read(cheap: Floats, order: Floats, read: Floats) -> Floats:
    """Signals of the second stage: the cheap ones (n, s), and how each stands by the first stage and by the model."""
    return np.column_stack([cheap, *standing(order), *standing(read)]).astype(np.float32)


def predicted(booster: Any, signals_: Floats) -> Floats:
    """Scores (n,) of trees."""
    return np.asarray(booster.predict(signals_, num_threads=1), np.float32)


def lightgbm() -> Any:
    """The package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module("lightgbm")
    except ModuleNotFoundError:
        raise MissingExtra.of("learning to rank", "ltr") from None


def open_learned(ranking: Ranking, encoder: Callable[[], Encoder]) -> Learned:
    """What an index has learned, with the model that reads, where there is one.

    Raises:
        BadInput: nothing was learned or kept; or it is damaged; or the model has changed since.
        MissingExtra: LightGBM is not installed.
    """
    path = ranking.generation.path
    folder = path / FOLDER
    settings = Settings.parse(read_manifest(folder, KIND), str(folder)) if folder.exists() else Settings()
    if settings.learned is None:
        raise BadInput.at(path, expected="a learned order", found="none that was better than a hybrid search",
                          do=AGAIN)  # fmt: skip
    own = settings.learned
    cheap = open_trees(folder / CHEAP, lightgbm().Booster)
    if not own.reader:
        return Learned(cheap)
    from nearfar.encoder.pair_scorer import load_scorer

    scorer = load_scorer(own.reader, encoder)
    if scorer.fingerprint() != own.fingerprint:
        raise BadInput.at(own.reader, expected="the model that the order was learned with", found="another",
                          do=AGAIN)  # fmt: skip
    return Learned(cheap, open_trees(folder / READ, lightgbm().Booster), scorer, own.depth)
