"""Contrastive losses as pure functions of (queries, documents, targets)."""

from nearfar.losses.info_nce import info_nce
from nearfar.losses.registry import LOSSES, Loss

__all__ = ["LOSSES", "Loss", "info_nce"]
