"""Whether vectors in a faster precision find the same, tried before a service answers with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy

NEAREST = 10
LEAST_OVERLAP = 0.99  # of the nearest texts
LEAST_COSINE = 0.998  # of the two vectors of a text
PROBES = 128  # texts, which cost a second or two
LONGEST = 600  # characters of one

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How far vectors in two precisions agree."""

    overlap: float  # mean share of the nearest texts that both find
    cosine: float  # lowest, of the two vectors of a text

    @property
    def holds(self) -> bool:
        """Whether one may stand for the other."""
        return self.overlap >= LEAST_OVERLAP and self.cosine >= LEAST_COSINE

    @classmethod
    def of(cls, exact: Vectors, fast: Vectors) -> Parity:
        """Compare the vectors (n, d) of the same texts."""
        lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(fast, axis=1)
        cosines = np.einsum("ij,ij->i", exact, fast) / np.maximum(lengths, np.finfo(np.float32).tiny)
        pairs = zip(_nearest(exact), _nearest(fast), strict=True)
        shared = [len(set(a) & set(b)) / max(len(a), 1) for a, b in pairs]
        return cls(float(np.mean(shared)), float(cosines.min()))


def agreed(encoder: Encoder, texts: Sequence[str], policy: Policy) -> Policy:
    """The policy, if its vectors find among the texts what those in fp32 find; else the same in fp32."""
    if policy.precision == "fp32" or encoder.is_static:  # a token table is read in fp32
        return policy
    drawn = np.random.default_rng(0).permutation(len(texts))[:PROBES]
    probes = [texts[place][:LONGEST] for place in drawn]
    exact = replace(policy, precision="fp32")
    found = Parity.of(encode(encoder, probes, "document", exact), encode(encoder, probes, "document", policy))
    said = f"top-{NEAREST} overlap {found.overlap:.3f}, cosine {found.cosine:.4f} or more"
    return replace(policy, reason=said) if found.holds else replace(exact, reason=f"{policy.precision}: {said}")


def _nearest(vectors: Vectors) -> list[list[int]]:
    """Places of the nearest others of each, the best first."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    nearest: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, : min(NEAREST, len(vectors) - 1)].tolist()
    return nearest
