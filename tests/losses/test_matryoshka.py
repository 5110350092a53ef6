"""Prefixes against the same loss on vectors cut by hand."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from nearfar.core.targets import Targets
from nearfar.losses import info_nce, matryoshka

DIMENSION = 6
loss = partial(info_nce, targets=Targets.diagonal(5))


def vectors(seed):
    drawn = torch.randn(5, DIMENSION, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(drawn, dim=-1).requires_grad_()


@pytest.mark.parametrize("unit", [True, False])
def test_it_is_the_weighted_mean_over_prefixes(unit):
    queries, documents = vectors(1), vectors(2)

    def cut(x, k):
        return torch.stack([row[:k] / row[:k].square().sum().sqrt() if unit else row[:k] for row in x])

    expected = (
        loss(queries, documents)
        + 0.5 * loss(cut(queries, 2), cut(documents, 2))
        + 2 * loss(cut(queries, 4), cut(documents, 4))
    ) / 3.5
    ours = matryoshka(loss, queries, documents, {2: 0.5, 4: 2.0}, unit=unit)
    torch.testing.assert_close(ours, expected)
    leaves = (queries, documents)
    torch.testing.assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(expected, leaves))


def test_no_prefix_is_the_loss_itself():
    queries, documents = vectors(1), vectors(2)
    assert matryoshka(loss, queries, documents, {}, unit=True).item() == loss(queries, documents).item()


def test_gradcheck():
    assert torch.autograd.gradcheck(
        lambda q, d: matryoshka(loss, q, d, {2: 1.0, 3: 0.5}, unit=True), (vectors(1), vectors(2))
    )
