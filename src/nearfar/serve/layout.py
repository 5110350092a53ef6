"""Where documents lie on a plane: at once by principal components, then by UMAP in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 50  # of the vectors, that UMAP and the clusters are made of
CLUSTERS = 12
NICE = 10  # of UMAP, which is not to keep the service waiting for a processor
NEIGHBOURS = 15
FEWEST = 50  # points that UMAP is asked to place
SEED = 0

Places = NDArray[np.float32]  # (n, 2)


@dataclass(frozen=True)
class Layout:
    """Places of points, the cluster of each, and how they were placed."""

    places: Places
    clusters: NDArray[np.uint8]  # (n,)
    method: str


def components(vectors: NDArray[np.float32], count: int = COMPONENTS) -> NDArray[np.float32]:
    """The first principal components (n, count) of vectors (n, d), by the eigenvectors of their covariance."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    found: NDArray[np.float32] = centred @ directions[:, ::-1][:, :count].astype(np.float32)
    return np.pad(found, ((0, 0), (0, max(0, 2 - found.shape[1]))))


def by_components(rows: NDArray[np.float32]) -> Layout:
    """The layout by the first two of the components (n, c)."""
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415 -- a second, which a service that is not asked for a map saves

    kmeans = MiniBatchKMeans(min(CLUSTERS, len(rows)), random_state=SEED, n_init=1)
    return Layout(np.ascontiguousarray(rows[:, :2]), kmeans.fit_predict(rows).astype(np.uint8), "PCA")


def by_umap(rows: NDArray[np.float32]) -> Places:
    """UMAP's places of the components (n, c), which takes minutes for 100,000 (McInnes et al., 2018)."""
    from umap import UMAP  # noqa: PLC0415 -- takes seconds

    start = 10 * rows[:, :2] / max(float(np.abs(rows[:, :2]).max()), 1e-9)
    start = start + np.random.default_rng(SEED).normal(scale=1e-3, size=start.shape)  # all in one place would be NaN
    layout = UMAP(init=start, random_state=SEED, n_jobs=1, n_neighbors=NEIGHBOURS)
    places: Places = layout.fit_transform(rows).astype(np.float32)
    return places


class Elsewhere:
    """UMAP in a process of its own, since it would keep this one's requests waiting; it ends with this one."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would take the threads' locks along
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_send, args=(sender, rows), name="map", daemon=True)
        self._process.start()
        sender.close()

    def places(self) -> Places | None:
        """What it found, when it has; None where it was ended."""
        try:
            found: Places = self._receiver.recv()
        except EOFError:
            return None
        return found

    def end(self) -> None:
        """End it, whether it has finished or not."""
        self._process.terminate()


def _send(sender: Connection, rows: NDArray[np.float32]) -> None:
    if hasattr(os, "nice"):
        os.nice(NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sender.send(by_umap(rows))


def _end_with_parent() -> None:
    """End this process once the one that began it has ended, however it did."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
