"""What a codec must be in torch to learn."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import torch
from torch import Tensor, nn

from nearfar.compress.codec import Vectors
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.mapped import Mapped


class Trainable(Protocol):
    """A codec in torch, whose arrays learn."""

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        """The tensors that learn, and their learning rates."""

    def codes(self, documents: Tensor) -> Tensor:
        """Codes (n, M) of documents (n, d), as the codec is now."""

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What these codes of documents stand for, (n, d'), with a gradient; and the squared error of each, (n,)."""

    def mapped(self, queries: Tensor) -> Tensor:
        """Queries (Q, d) as the codes are asked, (Q, d')."""


class Books(nn.Module):
    """Codebooks that learn, with a map of queries: what product and residual ones have in common."""

    centroids: Centroids
    query_map: nn.Parameter  # W (d', d): a code ŷ stands for Wᵀŷ

    @abstractmethod
    def groups(self) -> list[tuple[nn.Parameter, float]]:
        """The tensors that learn, and their learning rates."""

    @abstractmethod
    def codes(self, documents: Tensor) -> Tensor:
        """Codes (n, M) of documents (n, d), as the codebooks are now."""

    @abstractmethod
    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What these codes of documents stand for, (n, d'), with a gradient; and the squared error of each, (n,)."""

    @abstractmethod
    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
        """Where centroids would be of use: places of documents (n, d) with these codes, of drawn rows (M, K)."""

    @abstractmethod
    def codec(self) -> Mapped:
        """The codec as it is by now."""

    def mapped(self, queries: Tensor) -> Tensor:
        """Queries (Q, d) as the codes are asked, (Q, d')."""
        return queries @ self.query_map.T

    def before(self) -> list[nn.Parameter]:
        """Maps of documents before their codes."""
        return []

    def names(self, codes: Tensor) -> Tensor:
        """Those parts of codes (n, ·) that name centroids, (n, M)."""
        return codes

    def revive(self, documents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Move centroids that hardly any of the codes (n, ·) so far names to places of documents (n, d)."""
        drawn = torch.randint(len(documents), self.centroids().shape[:2], generator=generator)
        self.centroids.revive(self.anchors(documents, codes, drawn))


def array(tensor: Tensor) -> Vectors:
    """A copy of the tensor's numbers."""
    copied: Vectors = tensor.detach().cpu().numpy().copy()
    return copied
