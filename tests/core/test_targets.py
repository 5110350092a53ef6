from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Targets


@dataclass(frozen=True)
class Batch:
    """The same facts as `Targets`, as plain lists."""

    positives: list[list[int]]
    known: list[list[int]]
    query_texts: list[int]
    document_texts: list[int]
    query_groups: list[int]
    document_groups: list[int]

    def targets(self) -> Targets:
        return Targets(
            positives=Ragged.of(self.positives),
            known=Ragged.of(self.known),
            query_texts=np.array(self.query_texts, np.int64),
            document_texts=np.array(self.document_texts, np.int64),
            query_groups=np.array(self.query_groups, np.int64),
            document_groups=np.array(self.document_groups, np.int64),
        )

    def ignored(self, q: int, d: int) -> bool:
        if d in self.positives[q]:
            return False
        if d in self.known[q] or self.query_texts[q] == self.document_texts[d]:
            return True
        return self.query_groups[q] != NO_GROUP and self.query_groups[q] == self.document_groups[d]


@st.composite
def batches(draw) -> Batch:
    queries, documents = draw(st.integers(0, 6)), draw(st.integers(1, 6))
    columns = st.lists(st.integers(0, documents - 1), unique=True, max_size=documents)
    texts = st.integers(0, 8)
    groups = st.integers(NO_GROUP, 2)
    return Batch(
        positives=[draw(columns) for _ in range(queries)],
        known=[draw(columns) for _ in range(queries)],
        query_texts=[draw(texts) for _ in range(queries)],
        document_texts=[draw(texts) for _ in range(documents)],
        query_groups=[draw(groups) for _ in range(queries)],
        document_groups=[draw(groups) for _ in range(documents)],
    )


@given(batches())
def test_masks_match_double_loops(batch):
    targets = batch.targets()
    queries, documents = len(batch.query_texts), len(batch.document_texts)
    assert (len(targets), targets.documents) == (queries, documents)
    positive, ignored = targets.positive_mask(), targets.ignored_mask()
    assert positive.shape == ignored.shape == (queries, documents)
    for q in range(queries):
        for d in range(documents):
            assert positive[q, d] == (d in batch.positives[q])
            assert ignored[q, d] == batch.ignored(q, d)


@given(batches(), st.data())
def test_chunks_of_rows_are_rows_of_the_masks(batch, data):
    targets = batch.targets()
    start = data.draw(st.integers(0, len(targets)))
    stop = data.draw(st.integers(start, len(targets)))
    chunk = targets.rows(start, stop)
    assert (len(chunk), chunk.documents) == (stop - start, targets.documents)
    np.testing.assert_array_equal(chunk.positive_mask(), targets.positive_mask()[start:stop])
    np.testing.assert_array_equal(chunk.ignored_mask(), targets.ignored_mask()[start:stop])


def test_of_knows_positives_alone():
    targets = Targets.of(Ragged.of([[0, 2], [], [1]]), documents=4)
    assert targets.positive_mask().tolist() == [
        [True, False, True, False],
        [False] * 4,
        [False, True, False, False],
    ]
    assert not targets.ignored_mask().any()


def test_diagonal():
    targets = Targets.diagonal(3)
    assert targets.positive_mask().tolist() == np.eye(3, dtype=bool).tolist()
    assert not targets.ignored_mask().any()


def test_texts_without_a_group_do_not_form_one():
    targets = Batch([[]], [[]], [0], [1], [NO_GROUP], [NO_GROUP]).targets()
    assert not targets.ignored_mask().any()
