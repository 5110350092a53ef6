"""Product codebooks and a rotation learnt for retrieval."""

from __future__ import annotations

from nearfar.compress.codec import Kind, Sample
from nearfar.compress.learning import ALL
from nearfar.compress.mapped import Mapped, restoring
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import fewest, restore_product


def _fit(sample: Sample, size_bytes: int) -> Mapped:
    from nearfar.compress.learn.product import fit  # torch: a fitted codec needs none

    return fit(sample, size_bytes)


LEARNED_PRODUCT = Kind(
    "product codebooks, rotation and a map of queries that keep the scores of queries",
    "after LibVQ (Li et al., 2022), JPQ (Zhan et al., 2021) and RepCONC (Zhan et al., 2022)",
    OPQ.sizes, _fit, restoring(restore_product), fewest, learned=True, codebooks=True,
    settings=ALL)  # fmt: skip
