"""Whether the centroids of codes earn their bytes, in codes that are made and while codebooks are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.compress.blocks import BLOCK_ROWS
from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.compress.product import BITS, K

DECAY = 0.99  # of what a round says of usage, a round later
HARDLY = 0.01  # of an even share of the codes: a centroid that stands for less is dead
DEAD, FALLEN, RISEN = 0.25, 0.5, 1.1  # of the centroids; of the first perplexity; of the least error so far
LATER = 2  # rounds after the least error, for a rise to be one

Shares = NDArray[np.float64]  # (M, K): of a codebook's codes, those that name each centroid


@dataclass(frozen=True)
class Health:
    """How codes of M codebooks use their M · K centroids."""

    used: float  # share of the centroids that some code names; at most the documents' number can be
    perplexity: float  # 2^entropy of a codebook's centroids, the mean of the codebooks: K where all are as frequent
    least: float  # the same of the codebook that has least


def health(codes: Codes, bits: int = BITS) -> Health:
    """Usage of the centroids by codes (n, size_bytes) of product or residual quantization, so many bits a codebook."""
    return _health(shares(names(codes, bits), 1 << bits), over=0.0)


def names(codes: Codes, bits: int) -> Codes:
    """The centroid of each codebook, (n, M), that codes (n, size_bytes) name; of two in a byte, the lower bits' first.

    Raises:
        ValueError: a centroid's name has neither eight bits nor four.
    """
    if bits not in (4, 8):
        raise ValueError(f"expected names of 4 or 8 bits, found {bits}")
    return codes if bits == 8 else np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), -1)


def shares(named: ArrayLike, centroids: int = K) -> Shares:
    """How often (n, M) names of centroids name each of them, (M, K); zeros where there is no code."""
    rows = np.asarray(named)
    counts = np.stack([np.bincount(column, minlength=centroids) for column in rows.T])
    return counts / max(len(rows), 1)


def _health(found: Shares, over: float) -> Health:
    logs = np.log2(found, out=np.zeros_like(found), where=found > 0)
    perplexities = 2 ** -(found * logs).sum(axis=1)
    return Health(float((found > over).mean()), float(perplexities.mean()), float(perplexities.min()))


def distortions(codec: Codec, vectors: Vectors, codes: Codes) -> Vectors:
    """‖x − x̂‖² / ‖x‖² of each of the vectors (n, d) and what its code (n, size_bytes) stands for, (n,)."""
    found = np.empty(len(codes), np.float32)
    for start in range(0, len(codes), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        whole = np.asarray(vectors[block], np.float32)
        apart = np.square(whole - codec.decode(codes[block])).sum(axis=1)
        found[block] = apart / np.maximum(np.square(whole).sum(axis=1), np.finfo(np.float32).tiny)
    return found


@dataclass(frozen=True)
class Round:
    """Codebooks in training: how codes used them until then, and how far codes are from vectors."""

    step: int
    usage: Health  # of the mean of all rounds so far, each weighing DECAY of the next; `used` leaves out the dead
    error: float


@dataclass
class CodebookMonitor:
    """Watches codebooks while they are learnt; `on_round` is called with the codes of every round.

    Usage is an exponential moving average, as in CVQ (Zheng and Vedaldi, 2023), divided by the weight it has so far, so
    that a few rounds count in full.
    """

    centroids: int = K
    rounds: list[Round] = field(default_factory=list)
    alarms: dict[str, str] = field(default_factory=dict)  # what was seen → when and how, in words; each once
    _sum: Shares | float = 0.0
    _weight: float = 0.0

    def on_round(self, step: int, codes: ArrayLike, error: float) -> None:
        """Take the codes (n, M) of a round as names of centroids, and their mean squared error."""
        self._sum = DECAY * self._sum + (1 - DECAY) * shares(codes, self.centroids)
        self._weight = DECAY * self._weight + (1 - DECAY)
        usage = _health(np.asarray(self._sum / self._weight), over=HARDLY / self.centroids)
        self.rounds.append(Round(step, usage, float(error)))
        self.alarms = {**seen(self.rounds), **self.alarms}


def seen(rounds: Sequence[Round]) -> dict[str, str]:
    """What is wrong in the last of these rounds, by its name: "dead", "perplexity" or "error"."""
    last, first, found = rounds[-1], rounds[0], {}
    if 1 - last.usage.used >= DEAD:
        found["dead"] = f"{1 - last.usage.used:.0%} of the centroids stand for hardly anything"
    if last.usage.least <= FALLEN * first.usage.least:
        found["perplexity"] = f"a codebook's perplexity fell from {first.usage.least:.0f} to {last.usage.least:.0f}"
    best = min(range(len(rounds)), key=lambda number: rounds[number].error)
    if not last.error <= RISEN * rounds[best].error and len(rounds) - 1 - best >= LATER:
        found["error"] = f"the error rose from {rounds[best].error:.3g} to {last.error:.3g}"
    return {name: f"after step {last.step}: {words}" for name, words in found.items()}
