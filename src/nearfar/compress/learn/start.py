"""Codecs made trainable again, to learn together with an encoder."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.compress.codec import Codec, Vectors
from nearfar.compress.learn.product import ProductBooks
from nearfar.compress.learn.residual import ResidualBooks
from nearfar.compress.learn.trainable import Books
from nearfar.compress.linear import Linear
from nearfar.compress.mapped import Mapped
from nearfar.compress.product import Product, spread
from nearfar.compress.residual import Residual
from nearfar.core.errors import BadInput

NAMES = {ProductBooks: "learned_product", ResidualBooks: "learned_residual"}  # what a codec that has learnt is


def trainable(codec: Codec) -> Books:
    """The codec in torch, whatever product or residual kind it is; of the same codes and scores.

    Raises:
        BadInput: it has no codebooks that can learn.
    """
    match codec:
        case Residual(codebooks):
            return ResidualBooks(torch.tensor(codebooks))
        case Mapped(None, query_map, Residual(codebooks)):
            return ResidualBooks(torch.tensor(codebooks), torch.tensor(query_map))
        case Product(dimension, centroids):
            return _product(codec, spread(np.eye(dimension, dtype=np.float32), len(centroids)).T)
        case Linear(mean, matrix, Product() as inner) if not mean.any():
            return _product(inner, matrix)
        case Mapped(rotation, query_map, Product() as inner) if rotation is not None:
            return _product(inner, rotation, query_map)
    raise BadInput.at("codec", expected="product or residual codebooks, which can learn", found=type(codec).__name__,
                      do="choose learned_residual or learned_product")  # fmt: skip


def _product(inner: Product, rotation: Vectors, query_map: Vectors | None = None) -> ProductBooks:
    """Centroids of equal groups: `rotation` (d', d) leads to d' dimensions, and d' is a multiple of the groups."""
    asked = None if query_map is None else torch.tensor(query_map)
    return ProductBooks(torch.tensor(inner.centroids), torch.tensor(rotation), asked)
