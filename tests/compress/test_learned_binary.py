"""Learnt bits, against a loop over bits, a random start, and the bits of plain signs."""

import numpy as np
import pytest
import torch

from nearfar.compress.codec import Sample
from nearfar.compress.learn import binary
from nearfar.compress.learning import Learning
from nearfar.compress.registry import fit

D = 32


def clustered(count, seed=0):
    """Unit vectors around forty places, of falling variance after a rotation, as those of models."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(9).normal(size=(40, D))
    vectors = places[rng.integers(40, size=count)] + 0.5 * rng.normal(size=(count, D))
    vectors = vectors * np.arange(1, D + 1) ** -0.7 @ np.linalg.qr(np.random.default_rng(8).normal(size=(D, D)))[0]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


DOCUMENTS, QUERIES, ASKED = clustered(2000), clustered(400, seed=3), clustered(200, seed=5)


def overlap(codec):
    """Share of the ten nearest documents that are among the ten by codes."""
    full = np.argsort(-(ASKED @ DOCUMENTS.T), axis=1)[:, :10]
    coded = np.argsort(-codec.score(ASKED, codec.encode(DOCUMENTS)), axis=1)[:, :10]
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(full.tolist(), coded.tolist(), strict=True)])


def test_codes_and_scores_are_those_of_a_loop_over_bits():
    codec = fit("learned_binary", Sample(DOCUMENTS, QUERIES), 2)
    codes = codec.encode(DOCUMENTS[:5])
    for document, code in zip(DOCUMENTS[:5], codes, strict=True):
        score = float(QUERIES[0] @ codec.base)
        for bit in range(16):
            above = document @ codec.planes[bit] > codec.thresholds[bit]
            assert (code[bit // 8] >> (7 - bit % 8)) & 1 == above
            score += float(QUERIES[0] @ codec.values[bit]) * (1 if above else -1)
        assert codec.score(QUERIES[:1], code[None])[0, 0] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("bits", [8, 32, 64])
def test_planes_start_as_turned_principal_axes_that_cut_at_the_mean(bits):
    vectors = torch.from_numpy(DOCUMENTS)
    planes, thresholds = binary.start_planes(vectors, bits, torch.Generator().manual_seed(0))
    gram = planes @ planes.T if bits <= D else planes.T @ planes
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(len(gram)), atol=1e-3, rtol=0)
    hidden = vectors @ planes.T - thresholds
    torch.testing.assert_close(hidden.mean(dim=0), torch.zeros(bits), atol=1e-4, rtol=0)
    assert float(hidden.square().mean()) == pytest.approx(1, rel=1e-3)
    leading = np.linalg.svd(DOCUMENTS - DOCUMENTS.mean(axis=0))[2][:bits]
    unit = planes.numpy() / np.linalg.norm(planes.numpy(), axis=1, keepdims=True)
    assert np.linalg.norm(unit @ leading.T, axis=1) == pytest.approx(1, abs=1e-3)


def test_learnt_bits_find_more_neighbours_than_those_they_start_from():
    learnt = overlap(fit("learned_binary", Sample(DOCUMENTS, QUERIES), 2))
    start = overlap(fit("learned_binary", Sample(DOCUMENTS, QUERIES, learning=Learning(steps=0)), 2))
    assert learnt > start + 0.03


def test_more_bits_than_dimensions_find_more_and_fewer_find_some():
    found = [overlap(fit("learned_binary", Sample(DOCUMENTS, QUERIES[:0]), size)) for size in (1, 2, 4, 8)]
    assert found == sorted(found)
    assert found[0] > 5 * 10 / len(DOCUMENTS)  # of chance


def test_what_bits_stand_for_has_a_gradient_by_planes_and_values():
    planes = binary.Planes(torch.from_numpy(DOCUMENTS), 16, torch.Generator().manual_seed(0))
    some = torch.from_numpy(DOCUMENTS[:50])
    standing, error = planes.quantised(some, planes.codes(some))
    torch.testing.assert_close(standing, planes.codes(some) @ planes.values)
    (standing.square().sum() + error.sum()).backward()
    assert all(bool(tensor.grad.any()) for tensor, _ in planes.groups())
