"""Centroids that learn: some frozen, some moved together, none left without documents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.compress.learning import Learning

DECAY = 0.99  # of the moving average of usage
STEEPNESS, FLOOR = 10.0, 1e-3  # of the rate at which a centroid moves to its anchor


class Centroids(nn.Module):
    """M codebooks of K centroids of w numbers, the first of them frozen: c = scale ⊙ c₀ + shift of those that learn.

    Scale and shift are shared by a codebook, so that one document moves all of its centroids (Huh et al., 2023, affine
    re-parameterisation); frozen codebooks before trainable ones are a cascade (Chan et al., 2025).
    """

    frozen: Tensor  # (F, K, w)

    def __init__(self, start: Tensor, learning: Learning) -> None:
        super().__init__()
        self.register_buffer("frozen", start[: learning.frozen])
        self.free = nn.Parameter(start[learning.frozen :].clone())
        self.affine = learning.affine
        shape = (len(self.free), 1, start.shape[2])
        self.scale = nn.Parameter(torch.ones(shape), requires_grad=self.affine)
        self.shift = nn.Parameter(torch.zeros(shape), requires_grad=self.affine)
        self.usage: Tensor | None = None  # (M, K), moving average of shares

    def forward(self) -> Tensor:
        """All of them, (M, K, w), with a gradient."""
        free = self.scale * self.free + self.shift if self.affine else self.free
        return torch.cat([self.frozen, free]) if len(self.frozen) else free

    def learning(self) -> list[nn.Parameter]:
        """What learns."""
        return [self.free, self.scale, self.shift] if self.affine else [self.free]

    def count(self, codes: Tensor) -> None:
        """Note the usage of the centroids by codes (n, M)."""
        books, centroids, _ = self().shape
        flat = (codes + torch.arange(books) * centroids).flatten()
        shares = torch.bincount(flat, minlength=books * centroids).view(books, centroids) / len(codes)
        self.usage = shares if self.usage is None else DECAY * self.usage + (1 - DECAY) * shares

    def revive(self, anchors: Tensor) -> None:
        """Move each centroid towards an anchor (M, K, w), the further the less it is used.

        c ← (1 − α)·c + α·anchor with α = exp(−10·p·K / (1 − γ) − 0.001), p the moving average of usage (Zheng and
        Vedaldi, 2023, Online Clustered Codebook).
        """
        if self.usage is None:
            return
        rates = torch.exp(-STEEPNESS * self.usage * self.usage.shape[1] / (1 - DECAY) - FLOOR)[len(self.frozen) :]
        with torch.no_grad():
            wanted = (anchors[len(self.frozen) :] - self.shift) / self.scale
            self.free.lerp_(wanted, rates[:, :, None])
