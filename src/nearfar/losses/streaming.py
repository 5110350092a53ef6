"""Scores in chunks of rows: what a contrastive loss needs of the Q×D similarities, without holding them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nearfar.core.exclusions import Exclusions, Ids

CHUNK_ELEMENTS = 1 << 22  # scores held at a time, 16 MiB in fp32: they stay in a cache between the passes over them
CHUNK_COLUMNS = 1 << 13  # candidates scored at a time: they and the sums of their gradients stay near as well
BLOCK_ELEMENTS = 1 << 18  # of scores and of the vectors of pairs: what is computed of them stays in a core's own cache
EXCLUDED = -1e30  # finite: a row without negatives then has the loss 0 and the gradient 0, not NaN


def negatives_logsumexp(anchors: Tensor, candidates: Tensor, rows: Ids, exclusions: Exclusions) -> Tensor:
    """Sum up the candidates that are not excluded: log Σ exp(anchor · candidate), (len(rows),), EXCLUDED for none.

    The backward pass computes the scores once more unless they are one chunk: memory is that of one chunk. Chunks
    depend on the shapes alone: the same input gives the same bits. Matrix products are in the precision of an autocast
    around the call, all else in that of the vectors.

    Args:
        anchors: (a, d), over the temperature.
        candidates: (c, d); may be `anchors`.
        rows: the anchors to score, in rising order, each once.
    """
    result: Tensor = _NegativesLogSumExp.apply(anchors, candidates, rows, exclusions)  # type: ignore[no-untyped-call]
    return result


def pair_scores(queries: Tensor, documents: Tensor, rows: Ids, columns: NDArray[np.integer[Any]]) -> Tensor:
    """Scores query · document of the pairs (rows[i], columns[i]), (len(rows),)."""
    index = (torch.from_numpy(part.astype(np.int64)).to(queries.device) for part in (rows, columns))
    result: Tensor = _PairScores.apply(queries, documents, *index)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True)
class _Chunk:
    """Exponentials of the scores of some anchors and candidates, in a buffer that the next chunk overwrites."""

    part: slice  # positions in the rows to score
    anchors: slice | Tensor
    columns: slice
    exponentials: Tensor  # (n, c), in the dtype of the products: exp(score − highest)
    highest: Tensor  # (n,)
    sums: Tensor  # (n,) of the exponentials


class _NegativesLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, rows: Ids, exclusions: Exclusions) -> Tensor:
        result = anchors.new_full((len(rows),), EXCLUDED)
        anchors, candidates = (side.to(_product_dtype(side)) for side in (anchors, candidates))
        ctx.kept = None
        for chunk in _chunks(anchors, candidates, rows, exclusions):
            result[chunk.part] = torch.logaddexp(result[chunk.part], chunk.sums.log().add_(chunk.highest))
            only = chunk.exponentials.shape == (len(rows), len(candidates))
            ctx.kept = chunk if only else None  # it is not computed again
        ctx.save_for_backward(anchors, candidates, result)
        ctx.rows, ctx.exclusions = rows, exclusions
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        anchors, candidates, result = ctx.saved_tensors
        to_anchors, to_candidates = (torch.zeros_like(side, dtype=gradient.dtype) for side in (anchors, candidates))
        narrow = None if to_candidates.dtype == candidates.dtype else torch.empty_like(candidates[:CHUNK_COLUMNS])
        for chunk in [ctx.kept] if ctx.kept else _chunks(anchors, candidates, ctx.rows, ctx.exclusions):
            softmax = chunk.exponentials  # but for factors of rows, which are at the smaller factors of the products
            weights = (gradient[chunk.part] * (chunk.highest - result[chunk.part]).exp())[:, None]
            weighted = (anchors[chunk.anchors] * weights).to(anchors.dtype)
            to_anchors[chunk.anchors] += torch.mm(softmax, candidates[chunk.columns]).to(gradient.dtype).mul_(weights)
            into = to_candidates[chunk.columns]
            if narrow is None:
                into.addmm_(softmax.T, weighted)
            else:  # sums over chunks in fp32
                into += torch.mm(softmax.T, weighted, out=narrow[: len(into)])
        return to_anchors, to_candidates, None, None


def _chunks(anchors: Tensor, candidates: Tensor, rows: Ids, exclusions: Exclusions) -> Iterator[_Chunk]:
    """All scores, the candidates of some anchors before the next anchors."""
    width = min(len(candidates), CHUNK_COLUMNS)
    size = min(max(CHUNK_ELEMENTS // width, 1), len(rows))
    products = anchors.new_empty(size * width)
    for start in range(0, len(rows), max(size, 1)):
        chosen = rows[start : start + size]
        index = _index(chosen, anchors.device)
        row, column = exclusions.pairs(chosen)
        for first in range(0, len(candidates), width):
            columns = slice(first, min(first + width, len(candidates)))
            shape = (len(chosen), columns.stop - first)
            scores = torch.mm(anchors[index], candidates[columns].T, out=products[: shape[0] * shape[1]].view(shape))
            inside = (column >= first) & (column < columns.stop)
            excluded = row[inside] * shape[1] + (column[inside] - first)
            scores.view(-1).index_fill_(0, torch.from_numpy(excluded).to(anchors.device), EXCLUDED)
            yield _Chunk(slice(start, start + len(chosen)), index, columns, scores, *_exponentiate(scores))


def _exponentiate(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Turn scores (n, c) into exp(score − highest of the row), in place; the highest (n,), and the sums (n,).

    In fp32 at least, a few rows at a time, which stay in a core's own cache between the passes over them.
    """
    wide = torch.promote_types(scores.dtype, torch.float32)
    highest, sums = scores.new_empty((2, len(scores)), dtype=wide)
    size = max(BLOCK_ELEMENTS // scores.shape[1], 1) if scores.device.type == "cpu" else len(scores)
    for start in range(0, len(scores), size):
        part = slice(start, start + size)
        block = scores[part].to(wide)  # the same memory where it is so already
        torch.amax(block, dim=1, out=highest[part])
        torch.sum(block.sub_(highest[part, None]).exp_(), dim=1, out=sums[part])
        if block.dtype != scores.dtype:
            scores[part] = block
    return highest, sums


def _index(rows: Ids, device: torch.device) -> slice | Tensor:
    """Different rows in rising order as an index; consecutive ones are not copied."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.from_numpy(rows).to(device)


def _product_dtype(vectors: Tensor) -> torch.dtype:
    """That of an autocast around the loss, else the vectors' own."""
    kind = vectors.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else vectors.dtype


class _PairScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, documents: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(queries, documents, rows, columns)
        size = max(BLOCK_ELEMENTS // queries.shape[1], 1)
        chunks = zip(rows.split(size), columns.split(size), strict=True)
        parts = [(queries[row] * documents[column]).sum(dim=1) for row, column in chunks]
        return torch.cat([queries.new_empty(0), *parts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, documents, rows, columns = ctx.saved_tensors
        to_queries = _sums(gradient, documents, columns, rows, len(queries))
        return to_queries, _sums(gradient, queries, rows, columns, len(documents)), None, None


def _sums(weights: Tensor, vectors: Tensor, chosen: Tensor, into: Tensor, count: int) -> Tensor:
    """Σ over pairs of weight · vectors[chosen], for each of `count` rows that pairs go `into`; (count, d)."""
    into, order = torch.sort(into, stable=True)
    starts = torch.searchsorted(into, torch.arange(count, device=into.device))
    return functional.embedding_bag(
        chosen[order], vectors, starts, mode="sum", per_sample_weights=weights[order].contiguous()
    )
