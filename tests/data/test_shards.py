"""One global batch over eight processes: no pair of identical texts or entities counts as a negative."""

import numpy as np
import pytest

from nearfar.core.exclusions import exclusions
from nearfar.core.targets import NO_GROUP
from nearfar.data.batches import batch_source
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.sampler import sampler
from nearfar.train.distributed import Workers

SHARDS, BATCH = 8, 256


@pytest.fixture(scope="module")
def source():
    """Skewed pairs with documents under several ids, groups, and positives known from dev alone."""
    generator, count = np.random.default_rng(0), 4000
    queries = Texts([f"q{i}" for i in range(1000)], [f"query {i % 900}" for i in range(1000)])
    groups = [f"g{i % 50}" if i % 7 == 0 else "" for i in range(1500)]
    documents = Texts([f"d{i}" for i in range(1500)], [f"document {i % 1300}" for i in range(1500)], groups)
    rows = np.stack([generator.zipf(1.4, count) % 1000, generator.zipf(1.3, count) % 1500, np.ones(count)], axis=1)
    splits = {"train": Pairs.of(rows[:3500].tolist()), "dev": Pairs.of(rows[3500:].tolist())}
    return batch_source(Dataset("skewed", queries, documents, splits))


def identical(source, query, document):
    """Whether a document answers a query, whatever columns, splits and processes they are in."""
    grouped = source.groups[query] != NO_GROUP and source.groups[query] == source.groups[document]
    return query == document or grouped or document in source.known[query]


def test_no_identical_pair_is_a_negative_across_eight_shards(source):
    checked = 0
    for pairs in sampler(source, BATCH, 0).epoch(0):
        batch = source.batch(pairs, 1, (0,))
        targets, excluded = batch.targets, exclusions(batch.targets, "query", "document")
        shares = [Workers(rank, SHARDS).share(batch) for rank in range(SHARDS)]
        scored = [np.arange(len(targets))[share.queries] for share in shares]  # each process scores its own queries
        assert np.array_equal(np.concatenate(scored), np.arange(len(targets)))
        for rows in scored:
            negative = np.ones((len(rows), targets.documents), bool)
            negative[excluded.pairs(rows)] = False  # as the loss does
            for i, query in enumerate(targets.query_texts[rows]):
                for j in np.flatnonzero(negative[i]):
                    assert not identical(source, query, targets.document_texts[j])
                    checked += 1
    assert checked > 100_000


def without_duplicates(source, pairs):
    """What a sampler leaves of a shard that keeps texts apart within one process."""
    seen, kept = set(), []
    for pair in pairs:
        texts = {("query", source.queries[pair]), ("document", source.documents[pair])}
        if not texts & seen:
            seen |= texts
            kept.append(pair)
    return kept


def test_keeping_duplicates_apart_in_each_shard_leaves_some(source):
    """The rule of samplers without explicit targets, on the same data: so the test above can fail."""
    rows = wrong = 0
    for pairs in sampler(source, BATCH, 0).epoch(0):
        shards = [without_duplicates(source, part) for part in np.array_split(pairs, SHARDS)]
        kept = [pair for shard in shards for pair in shard]
        for pair in kept:
            others = [source.documents[other] for other in kept if other != pair]
            wrong += any(identical(source, source.queries[pair], document) for document in others)
            rows += 1
    assert wrong > 0.05 * rows
