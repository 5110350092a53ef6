"""InfoNCE against loops over anchors, positives and candidates in float64."""

import math
from itertools import combinations

import pytest
import torch
from facts import facts, gradients, mean, vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nearfar.core.ragged import Ragged
from nearfar.core.targets import Targets
from nearfar.losses import LOSSES, Share, info_nce, streaming
from nearfar.losses.dense import dense_info_nce
from nearfar.losses.info_nce import SIDES

BOTH_WAYS = ("query_to_document", "document_to_query")
CHOICES = [chosen for count in range(1, 5) for chosen in combinations(SIDES, count)]
SEEDS = st.integers(0, 2**16)


def one_softmax(queries, documents, drawn, temperature, directions):
    """Mean over anchors of the mean over their pairs of log(Σ exp(negative) + copies · exp(pair)) - pair.

    A pair weighs as much as its query.
    """
    texts = {"query": queries, "document": documents}
    pairs = [(q, d) for q, row in enumerate(drawn.positives) for d in row]
    by_document = all(direction.startswith("document") for direction in directions)
    losses, weights = {}, {}
    for q, d in pairs:
        own = (queries[q] * documents[d]).sum() / temperature
        copies = sum(anchor != candidate for anchor, candidate in map(SIDES.get, directions))
        total = max(copies, 1) * torch.exp(own)
        for anchor, candidate in map(SIDES.get, directions):
            a = q if anchor == "query" else d
            for c, vector in enumerate(texts[candidate]):
                if drawn.is_negative(anchor, a, candidate, c):
                    total = total + torch.exp((texts[anchor][a] * vector).sum() / temperature)
        weight = drawn.weights[q] if drawn.weights else 1.0
        losses.setdefault(d if by_document else q, []).append(weight * (torch.log(total) - own))
        weights.setdefault(d if by_document else q, []).append(weight)
    return sum(map(mean, losses.values())) / sum(map(mean, weights.values()))


def naive(queries, documents, drawn, temperature, directions, partition):
    softmaxes = [directions] if partition == "joint" else [[direction] for direction in directions]
    return sum(one_softmax(queries, documents, drawn, temperature, chosen) for chosen in softmaxes) / len(softmaxes)


@pytest.fixture(params=[(1, 1 << 13), (7, 1 << 13), (7, 3), None], ids=lambda size: f"chunks of {size}", scope="module")
def chunk(request):
    """Scores and candidates at a time: one row, a few, a few candidates of them, the default."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr("nearfar.losses.streaming.CHUNK_ELEMENTS", request.param[0])
            patch.setattr("nearfar.losses.streaming.CHUNK_COLUMNS", request.param[1])
        yield


@given(facts(), SEEDS, st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from(CHOICES), st.booleans())
@settings(max_examples=150, deadline=None)
def test_values_and_gradients_match_loops(chunk, drawn, seed, temperature, directions, joint):
    queries, documents = vectors(len(drawn.query_texts), seed), vectors(len(drawn.document_texts), seed + 1)
    scale = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    chosen = {"directions": directions, "partition": "joint" if joint else "per_direction"}
    ours = info_nce(queries, documents, drawn.targets(), temperature=scale, **chosen)
    theirs = naive(queries, documents, drawn, scale, **chosen)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9, abs=1e-9)
    for a, b in zip(
        gradients(ours, queries, documents, scale), gradients(theirs, queries, documents, scale), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


@given(facts(), SEEDS, st.sampled_from(CHOICES), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_dense_formula_matches_loops(drawn, seed, directions, joint):
    queries, documents = vectors(len(drawn.query_texts), seed), vectors(len(drawn.document_texts), seed + 1)
    chosen = {"directions": directions, "partition": "joint" if joint else "per_direction"}
    ours = dense_info_nce(queries, documents, drawn.targets(), temperature=0.3, **chosen)
    theirs = naive(queries, documents, drawn, 0.3, **chosen)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9, abs=1e-9)
    for a, b in zip(gradients(ours, queries, documents), gradients(theirs, queries, documents), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


@given(facts(), SEEDS, st.sampled_from(CHOICES), st.booleans(), st.data())
@settings(max_examples=100, deadline=None)
def test_shares_add_up_to_the_whole(drawn, seed, directions, joint, data):
    queries, documents = vectors(len(drawn.query_texts), seed), vectors(len(drawn.document_texts), seed + 1)
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    leaves = (queries, documents, scale)

    def loss(share):
        partition = "joint" if joint else "per_direction"
        return info_nce(queries, documents, drawn.targets(), temperature=scale, directions=directions,
                        partition=partition, share=share)  # fmt: skip

    cuts = [
        (0, *sorted(data.draw(st.lists(st.integers(0, len(x)), min_size=2, max_size=2))), len(x)) for x in leaves[:2]
    ]
    shares = [Share(slice(*cuts[0][i : i + 2]), slice(*cuts[1][i : i + 2])) for i in range(3)]
    parts = [loss(share) for share in shares]
    torch.testing.assert_close(sum(parts), loss(None))
    for whole, *rest in zip(gradients(loss(None), *leaves), *(gradients(p, *leaves) for p in parts), strict=True):
        torch.testing.assert_close(sum(rest), whole)


@pytest.mark.parametrize("partition", ["joint", "per_direction"])
def test_gradcheck(partition):
    targets = Targets.of(Ragged.of([[0, 1], [2], []]), documents=4)

    def loss(queries, documents, temperature):
        return info_nce(
            queries, documents, targets, temperature=temperature, directions=tuple(SIDES), partition=partition
        )

    temperature = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (vectors(3, 1), vectors(4, 2), temperature))


@pytest.mark.parametrize(
    ("directions", "partition"),
    [
        (("query_to_document",), "joint"),
        (BOTH_WAYS, "joint"),
        (BOTH_WAYS, "per_direction"),
        (("query_to_document", "query_to_query"), "joint"),
        (("query_to_document", "document_to_document"), "joint"),
        (tuple(SIDES), "joint"),
    ],
)
def test_one_positive_each_is_the_loss_of_sentence_transformers(directions, partition):
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    names = tuple(direction.replace("document", "doc") for direction in directions)
    theirs = losses.MultipleNegativesRankingLoss(
        None, similarity_fct=lambda a, b: a @ b.T, directions=names, partition_mode=partition
    )
    queries, documents = vectors(6, 1), vectors(6, 2)
    expected = theirs.compute_loss_from_embeddings([queries, documents], None)
    ours = info_nce(queries, documents, Targets.diagonal(6), directions=directions, partition=partition)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(gradients(ours, queries, documents), gradients(expected, queries, documents), strict=True):
        torch.testing.assert_close(a, b)


def test_the_same_input_gives_the_same_bits():
    queries, documents = (vectors(n, n).detach().float().requires_grad_() for n in (300, 500))
    targets = Targets.of(Ragged.of([[q, q + 7] for q in range(300)]), documents=500)

    def once():
        loss = info_nce(queries, documents, targets, directions=tuple(SIDES))
        return [loss.detach(), *gradients(loss, queries, documents)]

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


@given(facts(), SEEDS)
@settings(max_examples=40, deadline=None)
def test_fp32_and_a_plain_number_for_the_temperature(drawn, seed):
    queries, documents = vectors(len(drawn.query_texts), seed), vectors(len(drawn.document_texts), seed + 1)
    exact = info_nce(queries, documents, drawn.targets(), temperature=0.05)
    rounded = info_nce(queries.float(), documents.float(), drawn.targets())
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-4)


def test_one_positive_each_is_cross_entropy_over_the_batch():
    queries, documents = vectors(7, 1), vectors(7, 2)
    logits, diagonal = queries @ documents.T / 0.05, torch.arange(7)
    expected = (functional.cross_entropy(logits, diagonal) + functional.cross_entropy(logits.T, diagonal)) / 2
    ours = info_nce(queries, documents, Targets.diagonal(7), directions=BOTH_WAYS, partition="per_direction")
    torch.testing.assert_close(ours, expected)
    for a, b in zip(gradients(ours, queries, documents), gradients(expected, queries, documents), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("directions", [BOTH_WAYS, tuple(SIDES)])
def test_a_row_without_negatives_gives_nothing(directions):
    queries, documents = vectors(2, 1), vectors(2, 2)
    every = Targets.of(Ragged.of([[0, 1], [0, 1]]), documents=2)
    loss = info_nce(queries, documents, every, directions=directions, partition="per_direction")
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


def test_a_small_loss_is_not_lost_among_large_scores():
    """Eight pairs at right angles: log(1 + 7 exp(-20)), in single precision below the rounding of a score."""
    vectors, alone = torch.eye(8), Targets.diagonal(8)
    given = {"temperature": 0.05, "directions": ("query_to_document",), "partition": "joint"}
    for loss in (info_nce, dense_info_nce):
        assert loss(vectors, vectors, alone, **given).item() == pytest.approx(7 * math.exp(-20), rel=1e-5, abs=0)


def test_a_sharp_temperature_overflows_nowhere():
    queries, documents = vectors(4, 1), vectors(4, 2)
    loss = info_nce(queries.float(), documents.float(), Targets.diagonal(4), temperature=1e-3)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(g).all() for g in gradients(loss, queries, documents))


def test_the_registry_calls_it():
    queries, documents = vectors(3, 1), vectors(3, 2)
    targets = Targets.diagonal(3)
    registered = LOSSES["info_nce"].compute(queries, documents, targets, temperature=0.1, directions=BOTH_WAYS)
    assert registered.item() == info_nce(queries, documents, targets, temperature=0.1, directions=BOTH_WAYS).item()
    assert LOSSES["info_nce"].separable


@pytest.mark.parametrize(("elements", "columns"), [(64, 1 << 13), (64, 16), (1 << 22, 1 << 13)])
def test_under_autocast_the_products_alone_are_narrow(elements, columns, monkeypatch):
    monkeypatch.setattr(streaming, "CHUNK_ELEMENTS", elements)
    monkeypatch.setattr(streaming, "CHUNK_COLUMNS", columns)
    generator = torch.Generator().manual_seed(4)
    texts = [functional.normalize(torch.randn(40, 16, generator=generator), dim=1) for _ in range(2)]
    results = []
    for narrow in (False, True):
        leaves = [text.clone().requires_grad_() for text in texts]
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            value = info_nce(*leaves, Targets.diagonal(40), directions=BOTH_WAYS)
            results.append((value, *torch.autograd.grad(value, leaves)))
    (full, *exact), (half, *near) = results
    assert half.dtype == torch.float32
    assert 0 < abs(half.item() - full.item()) <= 2e-3 * full.item()
    for one, other in zip(near, exact, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() <= 0.01 * other.norm()
