"""Up to 65,536 centroids of as many vectors as there are, each with vectors of its own."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from nearfar.compress.codec import Vectors
from nearfar.compress.learn.kmeans import kmeans, nearest, progressive_kmeans
from nearfar.compress.product import K
from nearfar.compress.tree import Tree

MOST = 1 << 16  # centroids
POINTS = 15  # of a centroid, at least: a million vectors have all the centroids
CELL = 256  # centroids of a cell
COARSE_POINTS = 1 << 16  # that the cells are found by
REPAIRS = 3  # rounds in which centroids that no vector names move


def tree_of(vectors: Tensor, generator: torch.Generator) -> Tree:
    """Clusters of clusters of vectors (n, d), n ≥ 256: each cell has centroids by the number of its vectors.

    Centroids begin as vectors and no gradient moves them, so that none dies (VQGAN-LC, Zhu et al., 2024); those that
    another cell's centroids leave without vectors move to where most vectors share one.
    """
    count = max(K, min(MOST, len(vectors) // POINTS))
    drawn = vectors[torch.randperm(len(vectors), generator=generator)[:COARSE_POINTS]]
    cells = progressive_kmeans(drawn, math.ceil(count / CELL), generator)
    owners = nearest(vectors, cells)
    shares = _shares(torch.bincount(owners, minlength=len(cells)), count)
    order = owners.argsort(stable=True)
    members = vectors[order].split(torch.bincount(owners, minlength=len(cells)).tolist())
    parts = [kmeans(part, share, generator) for part, share in zip(members, shares, strict=True) if share]
    offsets = np.concatenate([[0], np.cumsum(shares)]).astype(np.int64)
    return _repaired(Tree(torch.cat(parts).numpy(), cells.numpy(), offsets), vectors.numpy())


def _shares(sizes: Tensor, count: int) -> list[int]:
    """Centroids of each cell, as many as its share of the vectors, `count` in all (largest remainders)."""
    exact = sizes.double() * count / sizes.sum()
    shares = exact.floor()
    shares[(exact - shares).topk(count - int(shares.sum())).indices] += 1
    return [int(share) for share in shares]


def _repaired(tree: Tree, vectors: Vectors) -> Tree:
    """The tree with each dead centroid moved onto a vector of the fullest centroids of its cell."""
    for _ in range(REPAIRS):
        named, member = np.unique(owners := tree.nearest(vectors), return_index=True)
        counts = np.bincount(owners, minlength=len(tree.centroids))
        if len(named) == len(counts):
            break
        centroids = tree.centroids.copy()
        for start, stop in pairwise(tree.offsets.tolist()):
            dead = start + np.flatnonzero(counts[start:stop] == 0)
            full = start + np.argsort(-counts[start:stop], kind="stable")[: len(dead)]
            full = full[counts[full] > 1]
            centroids[dead[: len(full)]] = vectors[member[np.searchsorted(named, full)]]
        tree = Tree(centroids, tree.cells, tree.offsets)
    return tree
