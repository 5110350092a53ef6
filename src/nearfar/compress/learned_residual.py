"""Residual codebooks learnt for retrieval."""

from __future__ import annotations

from nearfar.compress.codec import Kind, Sample
from nearfar.compress.learning import ALL
from nearfar.compress.mapped import Mapped, restoring
from nearfar.compress.product import fewest
from nearfar.compress.residual import RQ, restore_residual


def _fit(sample: Sample, size_bytes: int) -> Mapped:
    from nearfar.compress.learn.residual import fit  # torch: a fitted codec needs none

    return fit(sample, size_bytes)


LEARNED_RESIDUAL = Kind(
    "residual codebooks that keep the scores of queries: the best at few bytes",
    "after LibVQ (Li et al., 2022) and JPQ (Zhan et al., 2021), on residual codes (Chen et al., 2010)",
    RQ.sizes, _fit, restoring(restore_residual), fewest, learned=True, codebooks=True,
    settings=ALL)  # fmt: skip
