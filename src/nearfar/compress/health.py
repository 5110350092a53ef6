"""Whether the centroids of codes earn their bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.compress.codec import Codes
from nearfar.compress.product import K


@dataclass(frozen=True)
class Health:
    """How codes of M bytes use their M · 256 centroids."""

    used: float  # share of the centroids that some code names; at most the documents' number can be
    perplexity: float  # 2^entropy of a codebook's centroids, the mean of the codebooks: 256 where all are as frequent
    least: float  # the same of the codebook that has least


def health(codes: Codes) -> Health:
    """Usage of the centroids by codes (n, M) of product or residual quantization, a byte a codebook."""
    counts = np.stack([np.bincount(column, minlength=K) for column in codes.T])  # (M, K)
    shares = counts / max(len(codes), 1)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    perplexities = 2 ** -(shares * logs).sum(axis=1)
    return Health(float((counts > 0).mean()), float(perplexities.mean()), float(perplexities.min()))
