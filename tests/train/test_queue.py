"""The queue against a list of documents, the mixed negatives against loops, and both in a run that is interrupted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.precision import Policy
from nearfar.losses import info_nce
from nearfar.train.mixing import MixedNegatives, MixedNegativesConfig, nearest_negatives
from nearfar.train.queue import NegativeQueue, QueueConfig
from tiny_models import WORDS, tiny_static

TEMPERATURE = 0.2


@pytest.fixture(scope="module")
def source():
    """Few texts, so that they come again soon; several answers a query, groups, and negatives."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(60):
        group = f"g{i % 20}" if i % 3 == 0 else ""
        documents = [f"{WORDS[j]} document {j}" for j in generator.choice(40, 2, replace=False)]
        rows.append({"query": f"{WORDS[i % 30]} query {i}", "positive": documents, "group": group})
    return batch_source(from_records(rows))


def tokens_of(encoder, source):
    def rows(texts):
        return [np.array(encoder.tokenizer.encode(source.texts[t]).ids, np.int32) for t in texts]

    return rows


def batches(source, count, size=12):
    order = np.random.default_rng(1).permutation(len(source))
    return [source.batch(part, 0, (i,)) for i, part in enumerate(np.array_split(order, len(order) // size)[:count])]


def embedded(encoder, rows):
    return encoder.embed(rows, "document", Policy())


def is_negative(source, query, document):
    grouped = source.groups[query] >= 0 and source.groups[query] == source.groups[document]
    return query != document and document not in source.known[query] and not grouped


def expected_loss(source, queries, documents, batch, queued):
    """InfoNCE by loops over the batch's documents and those of the queue that are not in the batch."""
    losses = []
    own = set(batch.documents.tolist())
    columns = [*zip(batch.documents.tolist(), documents, strict=True), *(row for row in queued if row[0] not in own)]
    for q, query in enumerate(batch.queries.tolist()):
        against = [torch.exp(queries[q] @ v / TEMPERATURE) for d, v in columns if is_negative(source, query, d)]
        pairs = [documents[d] for d in batch.targets.positives[q]]
        scores = [torch.exp(queries[q] @ vector / TEMPERATURE) for vector in pairs]
        losses.append(sum(-torch.log(score / (score + sum(against))) for score in scores) / len(scores))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("momentum", [0.0, 0.75])
@pytest.mark.parametrize("size", [5, 30, 1000])
def test_the_queue_is_a_list_of_the_last_documents(source, size, momentum):
    encoder, generator = tiny_static(), torch.Generator().manual_seed(0)
    tokens = tokens_of(encoder, source)
    slow = {name: value.clone() for name, value in encoder.model.named_parameters()}
    queue, queued = NegativeQueue(QueueConfig(size=size, momentum=momentum), encoder, source, tokens), []
    for batch in batches(source, 6):
        queries, documents = embedded(encoder, tokens(batch.queries)), embedded(encoder, tokens(batch.documents))
        more, targets = queue(queries, documents, batch.targets)
        loss = info_nce(queries, more, targets, temperature=TEMPERATURE)
        expected = expected_loss(source, queries, documents, batch, queued)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        parameters = list(encoder.model.parameters())
        wanted = torch.autograd.grad(expected, parameters, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(loss, parameters), wanted, rtol=1e-4, atol=1e-6)
        with torch.no_grad():
            for name, parameter in encoder.model.named_parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
                slow[name] = momentum * slow[name] + (1 - momentum) * parameter
            queue.advance(encoder.model, Policy())
            if momentum:
                average = tiny_static()
                average.model.load_state_dict(slow, strict=False)
                documents = embedded(average, tokens(batch.documents))
        queued = [*queued, *zip(batch.documents.tolist(), documents.detach(), strict=True)][-size:]


def test_no_queued_text_is_a_false_negative(source):
    """Of every pair of a query and a queued document that a mask leaves as a negative, none is relevant or related."""
    encoder = tiny_static()
    queue = NegativeQueue(QueueConfig(size=50), encoder, source, tokens_of(encoder, source))
    checked = ignored = 0
    for batch in batches(source, 8):
        queries, documents = (torch.zeros(len(part), 32) for part in (batch.queries, batch.documents))
        _, targets = queue(queries, documents, batch.targets)
        queue.advance(encoder.model, Policy())
        negative = ~(targets.positive_mask() | targets.ignored_mask())[:, len(batch.documents) :]
        for q, d in np.ndindex(negative.shape):
            document = int(targets.document_texts[len(batch.documents) + d])
            assert negative[q, d] == is_negative(source, int(batch.queries[q]), document)
            checked, ignored = checked + 1, ignored + (not negative[q, d])
    assert checked > 1000
    assert ignored > 20


def mixed_batch(source, count, hardest, seed=0):
    batch = batches(source, 1, 16)[0]
    generator = torch.Generator().manual_seed(seed)
    queries, documents = (
        functional.normalize(torch.randn(len(part), 8, generator=generator), dim=1).requires_grad_()
        for part in (batch.queries, batch.documents)
    )
    mixed = MixedNegatives(MixedNegativesConfig(count=count, hardest=hardest), unit=True)
    return batch, queries, documents, mixed(queries, documents, batch.targets)


@pytest.mark.parametrize("hardest", [1, 2, 5, 99])
def test_the_nearest_negatives_are_those_of_a_sort(source, hardest):
    batch, queries, documents, _ = mixed_batch(source, 0, 2)
    found = nearest_negatives(queries.detach(), documents.detach(), batch.targets, hardest)
    for q, query in enumerate(batch.queries.tolist()):
        scores = {d: (queries[q] @ documents[d]).item() for d, text in enumerate(batch.documents.tolist())
                  if is_negative(source, query, text)}  # fmt: skip
        assert found[q].tolist() == sorted(scores, key=scores.get, reverse=True)[:hardest]


def test_mixed_negatives_lie_between_two_hard_ones_and_spare_the_queries_of_both(source):
    batch, queries, documents, (more, targets) = mixed_batch(source, 3, 4)
    near = nearest_negatives(queries.detach(), documents.detach(), batch.targets, 4)
    mixed = more[len(documents) :].detach()
    assert len(mixed) == 3 * len(queries)
    assert mixed.norm(dim=1) == pytest.approx(torch.ones(len(mixed)).numpy(), abs=1e-6)
    negative = ~(targets.positive_mask() | targets.ignored_mask())
    for m, vector in enumerate(mixed):
        q = m // 3
        parents = next(
            (a, b)
            for a in near[q].tolist() for b in near[q].tolist()
            if a < b and between(vector, documents[a].detach(), documents[b].detach())
        )  # fmt: skip
        wanted = negative[:, parents[0]] & negative[:, parents[1]]
        assert np.array_equal(negative[:, len(documents) + m], wanted)
        assert wanted[q]
    assert not targets.positive_mask()[:, len(documents) :].any()
    assert negative[:, len(documents) :].sum() < negative[:, len(documents) :].size


def between(vector, one, other):
    """Whether a vector is a combination of two others with shares that are not negative."""
    shares = torch.linalg.lstsq(torch.stack([one, other], dim=1), vector[:, None]).solution
    back = torch.stack([one, other], dim=1) @ shares
    return bool((shares >= -1e-5).all()) and torch.allclose(back[:, 0], vector, atol=1e-5)


def test_gradients_reach_the_parents_and_the_draw_comes_again(source):
    _, queries, documents, (more, targets) = mixed_batch(source, 2, 4)
    again = mixed_batch(source, 2, 4)[3][0]
    assert torch.equal(more, again)
    (gradient,) = torch.autograd.grad(more[len(documents) :].sum(), documents)
    assert gradient.abs().sum() > 0
    harder = info_nce(queries, more, targets, temperature=0.2)
    plain = info_nce(queries, documents, mixed_batch(source, 0, 2)[3][1], temperature=0.2)
    assert harder > plain


def test_a_batch_without_two_negatives_is_left_alone(source):
    batch = source.batch(np.arange(1), 0, (0,))
    vectors = [torch.randn(len(part), 8) for part in (batch.queries, batch.documents)]
    mixed = MixedNegatives(MixedNegativesConfig(count=2), unit=True)
    assert mixed(*vectors, batch.targets)[0] is vectors[1]


def test_targets_with_more_columns_keep_what_they_knew(source):
    batch = batches(source, 1)[0]
    same = source.extended(batch.targets, np.empty(0, np.int64))
    assert np.array_equal(same.ignored_mask(), batch.targets.ignored_mask())
    assert replace(same, known=batch.targets.known).documents == batch.targets.documents
