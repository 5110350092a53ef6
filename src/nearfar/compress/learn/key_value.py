"""Values of frozen keys that learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.compress.codec import Sample
from nearfar.compress.key_value import KeyValue
from nearfar.compress.labels import labelled
from nearfar.compress.learn.loop import learn
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import K

RATE = 1e-3
CONTRAST = 0.1  # more kept less on one set, more on another


class Values:
    """Values (M, K, d) that learn, of keys that do not."""

    def __init__(self, codec: KeyValue) -> None:
        self.keys = codec.keys
        self.values = nn.Parameter(torch.tensor(codec.values))

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        return [(self.values, RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        return torch.from_numpy(self.keys.encode(documents.numpy()).astype(np.int64))

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        rows = codes + torch.arange(codes.shape[1]) * K
        standing = functional.embedding_bag(rows, self.values.flatten(0, 1), mode="sum")
        return standing, (standing - documents).square().sum(dim=1)

    def mapped(self, queries: Tensor) -> Tensor:
        return queries  # a map would change the scores of all documents


def fit(sample: Sample, size_bytes: int) -> KeyValue:
    """Keys and values as they start, and what the sample teaches the values."""
    return taught(start(sample, size_bytes), sample)


def start(sample: Sample, size_bytes: int) -> KeyValue:
    """Keys of product quantization after OPQ's rotation; values that stand for what it decodes to."""
    keys = OPQ.fit(sample, size_bytes)
    arrays = keys.state()
    centroids, matrix = (arrays[name].astype(np.float32) for name in ("inner.centroids", "matrix"))  # (M, K, width)
    return KeyValue(keys, centroids @ matrix.reshape(size_bytes, centroids.shape[2], -1))


def taught(codec: KeyValue, sample: Sample) -> KeyValue:
    """The codec with values that have learnt from the sample; those of keys that its documents do not use stay."""
    values = Values(codec)
    learn(values, labelled(sample), contrast=CONTRAST)
    return replace(codec, values=values.values.detach().numpy())
