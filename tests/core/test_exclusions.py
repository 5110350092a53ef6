"""Exclusions by chunks against double loops over anchors and candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_targets import Batch, batches

from nearfar.core.exclusions import exclusions
from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Targets


def excluded(batch: Batch, anchor: str, a: int, candidate: str, c: int) -> bool:
    texts = {"query": batch.query_texts, "document": batch.document_texts}
    groups = {"query": batch.query_groups, "document": batch.document_groups}
    relevant = {(q, d) for rows in (batch.positives, batch.known) for q, row in enumerate(rows) for d in row}
    if texts[anchor][a] == texts[candidate][c]:
        return True
    if groups[anchor][a] != NO_GROUP and groups[anchor][a] == groups[candidate][c]:
        return True
    if anchor != candidate:
        return ((a, c) if anchor == "query" else (c, a)) in relevant
    if anchor == "query":
        return any((a, d) in relevant and (c, d) in relevant for d in range(len(batch.document_texts)))
    return any((q, a) in relevant and (q, c) in relevant for q in range(len(batch.query_texts)))


@pytest.mark.parametrize("anchor", ["query", "document"])
@pytest.mark.parametrize("candidate", ["query", "document"])
@given(batches(), st.data())
def test_pairs_match_double_loops(anchor, candidate, batch, data):
    sizes = {"query": len(batch.query_texts), "document": len(batch.document_texts)}
    anchors = [a for a in range(sizes[anchor]) if data.draw(st.booleans())]
    rows, columns = exclusions(batch.targets(), anchor, candidate).pairs(np.array(anchors, np.int64))
    expected = {
        (i, c)
        for i, a in enumerate(anchors)
        for c in range(sizes[candidate])
        if excluded(batch, anchor, a, candidate, c)
    }
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@given(batches())
def test_between_the_sides_they_are_the_masks_of_the_targets(batch):
    targets = batch.targets()
    mask = np.zeros((len(targets), targets.documents), np.bool_)
    mask[exclusions(targets, "query", "document").pairs(np.arange(len(targets)))] = True
    np.testing.assert_array_equal(mask, targets.positive_mask() | targets.ignored_mask())


def test_work_follows_the_excluded_pairs():
    """65,536 by 65,536 pairs: comparing all of them would take minutes."""
    looked_up = exclusions(Targets.diagonal(1 << 16), "query", "document")
    rows, columns = looked_up.pairs(np.arange(1 << 16))
    assert np.array_equal(rows, columns)
    hub = Targets.of(Ragged.of([[0]] * 1000), documents=2)  # one document answers all queries
    rows, columns = exclusions(hub, "query", "query").pairs(np.arange(3))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(i, j) for i in range(3) for j in range(1000)}
