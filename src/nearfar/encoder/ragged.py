"""Attention within texts of different lengths, a few texts at once, where their scores stay in the cache.

The rows of all texts lie one after another without padding. Texts of nearly one length are padded to the same for their
scores alone: less arithmetic is wasted so than calls are saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TOGETHER = 512  # tokens, padding included, whose scores are taken at once
STEP = 32  # texts whose lengths differ by less may be padded to the same
LONGEST = 1024  # tokens in a text beyond which torch's attention, which holds no T × T matrix, is used
MASKED = -1e9  # finite, so that nothing is NaN


@dataclass(frozen=True)
class Group:
    """Texts, one after another, whose scores are taken at once."""

    here: slice  # their rows among those of all texts
    texts: int
    length: int  # tokens of each, padding included
    places: Tensor | None = None  # (texts · length,) row within `here` of each place; None: no text is padded
    real: Tensor | None = None  # (rows of here,) places that are no padding
    padding: Tensor | None = None  # (texts, 1, 1, length) which places are

    @classmethod
    def of(cls, start: int, lengths: Sequence[int]) -> Group:
        """Texts of these lengths whose first row is `start`."""
        here = slice(start, start + sum(lengths))
        if min(lengths) == max(lengths):
            return cls(here, len(lengths), lengths[0])
        length = _padded(max(lengths))
        real = np.arange(length) < np.array(lengths)[:, None]
        places = np.zeros(real.shape, np.int64)  # padding reads the first row, and is masked
        places[real] = np.arange(sum(lengths))
        return cls(here, len(lengths), length, torch.from_numpy(places.ravel()),
                   torch.from_numpy(np.flatnonzero(real)), torch.from_numpy(~real)[:, None, None])  # fmt: skip


def grouped(lengths: Sequence[int]) -> Iterator[Group]:
    """Groups of the texts of these lengths, which are best sorted."""
    start = 0
    for length, run in groupby(filter(None, lengths), _padded):
        same, count = list(run), max(TOGETHER // length, 1)
        for first in range(0, len(same), count):
            part = same[first : first + count]
            yield Group.of(start, part)
            start += sum(part)


def attend(projected: Tensor, groups: Sequence[Group], heads: int) -> Tensor:
    """Attention within each text: (rows, d) of the scaled queries, keys and values side by side, (rows, 3d).

    Rows behind those of the groups are zero.
    """
    result = projected.new_zeros(len(projected), projected.shape[1] // 3)
    for group in groups:
        rows = projected[group.here]
        if group.places is not None:
            rows = rows.index_select(0, group.places)
        attended = _attended(rows, group, heads)
        result[group.here] = attended if group.real is None else attended.index_select(0, group.real)
    return result


def _attended(rows: Tensor, group: Group, heads: int) -> Tensor:
    """(texts · length, d) of one group's (texts · length, 3d)."""
    texts, length = group.texts, group.length
    parts = rows.view(texts, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = parts.reshape(3, texts * heads, length, -1).unbind(0)
    if length > LONGEST:
        attended = _without_scores(q, k, v, group.padding, heads)
    else:
        scores = torch.bmm(q, k.transpose(1, 2))
        if group.padding is not None:
            scores.view(texts, heads, length, length).masked_fill_(group.padding, MASKED)
        attended = torch.bmm(torch.softmax(scores, dim=-1, out=scores), v)
    return attended.view(texts, heads, length, -1).transpose(1, 2).reshape(texts * length, -1)


def _without_scores(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, heads: int) -> Tensor:
    q, k, v = (part.view(-1, heads, *part.shape[1:]) for part in (q, k, v))
    mask = None if padding is None else ~padding
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0).flatten(0, 1)


def _padded(length: int) -> int:
    return -(-length // STEP) * STEP
