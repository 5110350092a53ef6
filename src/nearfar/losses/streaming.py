"""Scores in chunks of rows: what a contrastive loss needs of the Q×D similarities, without holding them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from nearfar.core.exclusions import Exclusions, Ids

CHUNK_ELEMENTS = 1 << 22  # scores held at a time, 16 MiB in fp32: they stay in a cache between the passes over them
EXCLUDED = -1e30  # finite: a row without negatives then has the loss 0 and the gradient 0, not NaN


def negatives_logsumexp(anchors: Tensor, candidates: Tensor, rows: Ids, exclusions: Exclusions) -> Tensor:
    """Sum up the candidates that are not excluded: log Σ exp(anchor · candidate), (len(rows),), EXCLUDED for none.

    The backward pass computes the scores once more, so that memory is that of one chunk. Chunks depend on the shapes
    alone: the same input gives the same bits.

    Args:
        anchors: (a, d), over the temperature.
        candidates: (c, d); may be `anchors`.
        rows: the anchors to score, each once.
    """
    result: Tensor = _NegativesLogSumExp.apply(anchors, candidates, rows, exclusions)  # type: ignore[no-untyped-call]
    return result


def pair_scores(queries: Tensor, documents: Tensor, rows: Ids, columns: NDArray[np.integer[Any]]) -> Tensor:
    """Scores query · document of the pairs (rows[i], columns[i]), (len(rows),)."""
    index = (torch.from_numpy(part.astype(np.int64)).to(queries.device) for part in (rows, columns))
    result: Tensor = _PairScores.apply(queries, documents, *index)  # type: ignore[no-untyped-call]
    return result


class _NegativesLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, rows: Ids, exclusions: Exclusions) -> Tensor:
        result = anchors.new_empty(len(rows))
        for part, _, scores in _chunks(anchors, candidates, rows, exclusions):
            highest = scores.amax(dim=1, keepdim=True)
            result[part] = scores.sub_(highest).exp_().sum(dim=1).log_().add_(highest[:, 0])
        ctx.save_for_backward(anchors, candidates, result)
        ctx.rows, ctx.exclusions = rows, exclusions
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        anchors, candidates, result = ctx.saved_tensors
        to_anchors, to_candidates = torch.zeros_like(anchors), torch.zeros_like(candidates)
        for part, index, scores in _chunks(anchors, candidates, ctx.rows, ctx.exclusions):
            softmax = scores.sub_(result[part, None]).exp_()
            weights = gradient[part, None]  # at the smaller factors of the products
            to_anchors[index] = torch.mm(softmax, candidates).mul_(weights)
            to_candidates.addmm_(softmax.T, anchors[index].mul_(weights))
        return to_anchors, to_candidates, None, None


def _chunks(
    anchors: Tensor, candidates: Tensor, rows: Ids, exclusions: Exclusions
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Positions in `rows`, the anchors there, and their scores (n, c) in a buffer that the next chunk overwrites."""
    columns = len(candidates)
    size = min(max(CHUNK_ELEMENTS // columns, 1), len(rows))
    buffer = anchors.new_empty((size, columns))
    for start in range(0, len(rows), max(size, 1)):
        chosen = rows[start : start + size]
        index = torch.from_numpy(chosen).to(anchors.device)
        scores = torch.mm(anchors[index], candidates.T, out=buffer[: len(chosen)])
        row, column = exclusions.pairs(chosen)
        excluded = torch.from_numpy(row * columns + column).to(anchors.device)
        scores.view(-1).index_fill_(0, excluded, EXCLUDED)
        yield slice(start, start + len(chosen)), index, scores


class _PairScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, documents: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(queries, documents, rows, columns)
        parts = [
            (queries[row] * documents[column]).sum(dim=1) for row, column in _pairs_of(rows, columns, queries.shape[1])
        ]
        return torch.cat([queries.new_empty(0), *parts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, documents, rows, columns = ctx.saved_tensors
        to_queries, to_documents = torch.zeros_like(queries), torch.zeros_like(documents)
        start = 0
        for row, column in _pairs_of(rows, columns, queries.shape[1]):
            weights = gradient[start : start + len(row), None]
            to_queries.index_put_((row,), weights * documents[column], accumulate=True)
            to_documents.index_put_((column,), weights * queries[row], accumulate=True)
            start += len(row)
        return to_queries, to_documents, None, None


def _pairs_of(rows: Tensor, columns: Tensor, dimension: int) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(CHUNK_ELEMENTS // dimension, 1)
    return zip(rows.split(size), columns.split(size), strict=True)
