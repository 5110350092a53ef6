"""InfoNCE against two loops over queries and documents in float64."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Targets
from nearfar.losses import LOSSES, info_nce

DIMENSION = 3
SEEDS = st.integers(0, 2**16)


@dataclass(frozen=True)
class Facts:
    """What `Targets` holds, as plain lists."""

    positives: list[list[int]]
    known: list[list[int]]
    query_texts: list[int]
    document_texts: list[int]
    query_groups: list[int]
    document_groups: list[int]

    def targets(self) -> Targets:
        lists = (self.query_texts, self.document_texts, self.query_groups, self.document_groups)
        return Targets(Ragged.of(self.positives), Ragged.of(self.known), *(np.array(x, np.int64) for x in lists))

    def is_negative(self, q: int, d: int) -> bool:
        same_group = self.query_groups[q] != NO_GROUP and self.query_groups[q] == self.document_groups[d]
        same_text = self.query_texts[q] == self.document_texts[d]
        return d not in self.positives[q] and d not in self.known[q] and not same_text and not same_group

    def has_a_pair(self) -> bool:
        return any(self.positives)


@st.composite
def facts(draw) -> Facts:
    queries, documents = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    columns = st.lists(st.integers(0, documents - 1), unique=True, max_size=3)
    texts, groups = st.integers(0, 12), st.integers(NO_GROUP, 2)
    drawn = Facts(
        positives=[draw(columns) for _ in range(queries)],
        known=[draw(columns) for _ in range(queries)],
        query_texts=[draw(texts) for _ in range(queries)],
        document_texts=[draw(texts) for _ in range(documents)],
        query_groups=[draw(groups) for _ in range(queries)],
        document_groups=[draw(groups) for _ in range(documents)],
    )
    return drawn if drawn.has_a_pair() else Facts([[0], *drawn.positives[1:]], *list(vars(drawn).values())[1:])


def vectors(rows, seed):
    drawn = torch.randn(rows, DIMENSION, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(drawn, dim=-1).requires_grad_()


def loop_loss(scores, positives, is_negative):
    """Mean over anchors with positives of the mean over positives of log(1 + Σ exp(n) / exp(p)); None where none."""
    anchors = []
    for q, row in enumerate(scores):
        losses = []
        for p in positives[q]:
            total = 0.0
            for d, score in enumerate(row):
                if is_negative(q, d):
                    total = total + torch.exp(score - row[p])
            losses.append(torch.log(1 + total) if isinstance(total, torch.Tensor) else row[p] * 0)
        if losses:
            anchors.append(sum(losses) / len(losses))
    return sum(anchors) / len(anchors)


def naive(queries, documents, drawn, temperature, symmetric):
    scores = [[(q * d).sum() / temperature for d in documents] for q in queries]
    forward = loop_loss(scores, drawn.positives, drawn.is_negative)
    if not symmetric:
        return forward
    columns = [[scores[q][d] for q in range(len(queries))] for d in range(len(documents))]
    answered = [[q for q, row in enumerate(drawn.positives) if d in row] for d in range(len(documents))]
    return (forward + loop_loss(columns, answered, lambda d, q: drawn.is_negative(q, d))) / 2


def gradients(value, *leaves):
    return torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)


@given(facts(), SEEDS, st.sampled_from([0.05, 0.3, 1.0]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_values_and_gradients_match_two_loops(drawn, seed, temperature, symmetric):
    queries, documents = vectors(len(drawn.query_texts), seed), vectors(len(drawn.document_texts), seed + 1)
    scale = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    ours = info_nce(queries, documents, drawn.targets(), temperature=scale, symmetric=symmetric)
    theirs = naive(queries, documents, drawn, scale, symmetric)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9, abs=1e-9)
    for a, b in zip(
        gradients(ours, queries, documents, scale), gradients(theirs, queries, documents, scale), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@given(facts(), SEEDS)
@settings(max_examples=40, deadline=None)
def test_fp32_and_a_plain_number_for_the_temperature(drawn, seed):
    queries, documents = vectors(len(drawn.query_texts), seed), vectors(len(drawn.document_texts), seed + 1)
    exact = info_nce(queries, documents, drawn.targets(), temperature=0.05)
    rounded = info_nce(queries.float(), documents.float(), drawn.targets())
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("symmetric", [False, True])
def test_one_positive_each_is_cross_entropy_over_the_batch(symmetric):
    queries, documents = vectors(7, 1), vectors(7, 2)
    logits, diagonal = queries @ documents.T / 0.05, torch.arange(7)
    expected = functional.cross_entropy(logits, diagonal)
    if symmetric:
        expected = (expected + functional.cross_entropy(logits.T, diagonal)) / 2
    ours = info_nce(queries, documents, Targets.diagonal(7), symmetric=symmetric)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(gradients(ours, queries, documents), gradients(expected, queries, documents), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_row_without_negatives_gives_nothing(symmetric):
    queries, documents = vectors(2, 1), vectors(2, 2)
    every = Targets.of(Ragged.of([[0, 1], [0, 1]]), documents=2)
    loss = info_nce(queries, documents, every, symmetric=symmetric)
    assert loss.item() == 0
    for gradient in gradients(loss, queries, documents):
        assert not gradient.any()


def test_a_row_without_positives_is_left_out():
    queries, documents = vectors(3, 1), vectors(4, 2)
    some = Targets.of(Ragged.of([[0], [], [2, 3]]), documents=4)
    rest = Targets.of(Ragged.of([[0], [2, 3]]), documents=4)
    loss = info_nce(queries, documents, some)
    torch.testing.assert_close(loss, info_nce(queries[[0, 2]], documents, rest))
    assert not gradients(loss, queries)[0][1].any()


def test_hand_computed():
    queries = torch.tensor([[1.0, 0.0]])
    documents = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    loss = info_nce(queries, documents, Targets.of(Ragged.of([[0]]), 3), temperature=1.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1) + math.exp(-2)))


def test_a_sharp_temperature_overflows_nowhere():
    queries, documents = vectors(4, 1), vectors(4, 2)
    loss = info_nce(queries.float(), documents.float(), Targets.diagonal(4), temperature=1e-3)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(g).all() for g in gradients(loss, queries, documents))


def test_the_registry_calls_it():
    queries, documents = vectors(3, 1), vectors(3, 2)
    targets = Targets.diagonal(3)
    registered = LOSSES["info_nce"].compute(queries, documents, targets, temperature=0.1, symmetric=True)
    assert registered.item() == info_nce(queries, documents, targets, temperature=0.1, symmetric=True).item()
