"""k-means for residual codebooks: dimension after dimension, no centroid left without points."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTHS = (4, 8, 16, 32, 64, 128)  # leading principal dimensions that are clustered first, where there are more
ROUNDS = 4  # of Lloyd's iteration at each width
APART = 1e-3  # share by which the halves of a centroid that is split move apart


def progressive_kmeans(points: Tensor, centroids: int, generator: torch.Generator) -> Tensor:
    """Centroids (K, d) of points (n, d), n ≥ K, found in ever more of their principal dimensions.

    The minima are better than those of k-means in all dimensions at once (Liu et al., 2015, improved residual vector
    quantization). A centroid that loses its points takes half of those of the largest one.
    """
    axes = _principal_axes(points)
    turned = points @ axes
    found = turned[torch.randperm(len(turned), generator=generator)[:centroids]]
    for width in [*(width for width in WIDTHS if width < points.shape[1]), points.shape[1]]:
        part = turned[:, :width].contiguous()
        narrow = found[:, :width].contiguous()
        for _ in range(ROUNDS):
            narrow = _moved(part, narrow)
        found = _means(turned, nearest(part, narrow), len(found))[0]
        found[:, :width] = narrow
    return found @ axes.T


def kmeans(points: Tensor, centroids: int, generator: torch.Generator) -> Tensor:
    """Centroids (K, d) of points (n, d), n ≥ K, in all dimensions at once; none without points but for equal points."""
    found = points[torch.randperm(len(points), generator=generator)[:centroids]]
    for _ in range(2 * ROUNDS):
        found = _moved(points, found)
    return found


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """The nearest centroid (K, d) of each point (n, d), (n,)."""
    return (points @ centroids.T - centroids.square().sum(dim=1) / 2).argmax(dim=1)


def _moved(points: Tensor, centroids: Tensor) -> Tensor:
    means, counts = _means(points, nearest(points, centroids), len(centroids))
    dead = torch.nonzero(counts == 0).flatten()
    large = counts.topk(len(dead)).indices
    means[dead] = means[large] * (1 + APART)
    means[large] *= 1 - APART
    return means


def _means(points: Tensor, owners: Tensor, centroids: int) -> tuple[Tensor, Tensor]:
    """Mean of the points of each centroid (K, d), 0 of none, and their number (K,)."""
    counts = torch.bincount(owners, minlength=centroids)
    sums = points.new_zeros(centroids, points.shape[1]).index_add_(0, owners, points)
    return sums / counts.clamp(min=1)[:, None], counts


def _principal_axes(points: Tensor) -> Tensor:
    centred = points - points.mean(dim=0)
    axes: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)
    return axes
