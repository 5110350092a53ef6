"""What a codec must be in torch to learn."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from nearfar.compress.codec import Vectors
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.mapped import Mapped


class Trainable(Protocol):
    """A codec in torch, whose arrays learn."""

    centroids: Centroids

    @property
    def query_map(self) -> nn.Parameter:
        """W (d', d): a code ŷ stands for Wᵀŷ."""

    @property
    def rotation(self) -> nn.Parameter | None:
        """R (d', d) of documents before their codes; None: they stay as they are."""

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        """The tensors that learn, and their learning rates."""

    def codes(self, documents: Tensor) -> Tensor:
        """Codes (n, M) of documents (n, d), as its codebooks are now."""

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What these codes of documents stand for, (n, d'), with a gradient; and the squared error of each, (n,)."""

    def mapped(self, queries: Tensor) -> Tensor:
        """Queries (Q, d) as the codes are asked, (Q, d')."""

    def count(self, codes: Tensor) -> None:
        """Note which centroids the codes (n, M) of a batch use."""

    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
        """Places where centroids would be of use: of documents (n, d) with these codes, drawn rows (M, K)."""

    def codec(self) -> Mapped:
        """The codec as it is by now."""


def array(tensor: Tensor) -> Vectors:
    """A copy of the tensor's numbers."""
    copied: Vectors = tensor.detach().cpu().numpy().copy()
    return copied
