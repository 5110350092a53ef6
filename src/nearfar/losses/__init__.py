"""Contrastive losses as pure functions of (queries, documents, targets)."""

from nearfar.losses.info_nce import Direction, Partition, info_nce
from nearfar.losses.matryoshka import matryoshka
from nearfar.losses.registry import LOSSES, Loss
from nearfar.losses.share import Share

__all__ = ["LOSSES", "Direction", "Loss", "Partition", "Share", "info_nce", "matryoshka"]
