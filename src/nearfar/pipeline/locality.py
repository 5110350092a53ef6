"""Which training pairs are near to each other, for batches of them."""

from __future__ import annotations

from dataclasses import replace

import faiss
import numpy as np

from nearfar.data.batches import BatchSource, Ids
from nearfar.pipeline.evaluate import Space
from nearfar.train.config import TrainConfig
from nearfar.train.distributed import Workers

CLUSTERS_A_BATCH = 4  # so that a batch is filled with a few, which differ from epoch to epoch
ROUNDS = 10  # of k-means


def with_clusters(source: BatchSource, config: TrainConfig, space: Space, workers: Workers) -> BatchSource:
    """The training pairs with the k-means cluster of each pair's document, by the model as it is before training.

    Raises:
        BadInput: the texts cannot be encoded.
    """
    if config.batch_by != "near":
        return source
    found = workers.first(lambda: _clusters(source, config, space).tolist())
    return replace(source, near=np.array(found, np.int64))


def _clusters(source: BatchSource, config: TrainConfig, space: Space) -> Ids:
    documents, row = np.unique(source.documents, return_inverse=True)
    vectors = space.vectors(
        [source.texts[i] for i in documents], "document", "encoding documents of the training pairs"
    )
    wanted = CLUSTERS_A_BATCH * -(-len(source) // config.batch_size)
    means = faiss.Kmeans(vectors.shape[1], min(wanted, len(vectors)), niter=ROUNDS, seed=config.seed,
                         min_points_per_centroid=1)  # fmt: skip
    means.train(vectors)
    cluster: Ids = means.index.search(vectors, 1)[1][row, 0]
    return cluster
