"""What the doctor looks at of a data set: its texts and judgments, at most so many of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged
from nearfar.data.check import leaked_queries
from nearfar.data.dataset import Dataset, Judged
from nearfar.data.live import LiveLog
from nearfar.data.paraphrase import paraphrase
from nearfar.diagnose.evidence import Evidence, Questions, WordSearch
from nearfar.text.bm25 import BM25

MOST_QUERIES = 1000  # of a split
MOST_TRAINING = 20_000  # queries of which the nearest to a test query is looked for: a sample would make all look new
MOST_DOCUMENTS = 20_000


def queries_of(dataset: Dataset, split: str, most: int) -> Sequence[str]:
    """The judged queries of a split, at most so many; none where there is no such split."""
    rows = dataset.judged(split).queries if split in dataset.splits else np.empty(0, np.int32)
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:most])
    return [dataset.queries.texts[row] for row in chosen]


def gathered(dataset: Dataset, log: LiveLog | None) -> tuple[Evidence, Judged]:
    """Texts and judgments, at most so many of each; and the judgments in the numbering of the evidence."""
    rng = np.random.default_rng(0)
    test, train = (drawn(dataset.judged(split), rng) for split in ("test", "train"))
    asked = np.sort(rng.permutation(len(log.queries) if log else 0)[:MOST_QUERIES])
    clicked = log.clicked.take(asked) if log else Ragged.of([])
    rows = rows_of_documents(len(dataset.documents), [test.documents, train.documents, clicked], rng)
    within = [Ragged(part.offsets, np.searchsorted(rows, part.values).astype(np.int32))
              for part in (test.documents, train.documents, clicked)]  # fmt: skip
    texts = [*([dataset.queries.texts[row] for row in part.queries] for part in (test, train)),
             [log.queries[row] for row in asked] if log else []]  # fmt: skip
    questions = [Questions(*part) for part in zip(texts, within, strict=True)]
    documents = dataset.documents.rows(rows.tolist())
    pairs = dataset.splits["train"].relevant
    evidence = Evidence(documents.texts, documents.groups, documents.ids, test=questions[0],
                        train=questions[1], live=questions[2],
                        training_queries=queries_of(dataset, "train", MOST_TRAINING),
                        dev_queries=queries_of(dataset, "dev", MOST_TRAINING),
                        lexical=word_search(documents.texts), leaked=leaked_queries(dataset),
                        training_pairs=len(pairs),
                        asked=np.bincount(pairs.documents, minlength=len(dataset.documents))[rows],
                        training_size=len(dataset.judged("train").queries),
                        paraphrase=lambda query: paraphrase(query, np.random.default_rng(0)))  # fmt: skip
    return evidence, Judged(np.arange(len(test.queries), dtype=np.int32), within[0], test.gains)


def drawn(judged: Judged, rng: np.random.Generator) -> Judged:
    """At most so many of the judged queries."""
    rows = np.sort(rng.permutation(len(judged.queries))[:MOST_QUERIES])
    spans = [slice(*judged.documents.offsets[row : row + 2]) for row in rows]
    gains = np.concatenate([judged.gains[span] for span in spans]) if spans else judged.gains[:0]
    return Judged(judged.queries[rows], judged.documents.take(rows), gains)


def word_search(documents: Sequence[str]) -> WordSearch:
    """BM25 over the documents, indexed when a rule asks for it, and not before."""
    index = cache(lambda: BM25(documents))
    return lambda queries: index().search(list(queries), 10)[0]


def rows_of_documents(count: int, parts: Sequence[Ragged], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the relevant documents and of others, ascending, at most so many but for the relevant ones."""
    needed = np.unique(np.concatenate([part.values for part in parts]))
    others = np.setdiff1d(rng.permutation(count)[:MOST_DOCUMENTS], needed)
    return np.sort(np.concatenate([needed, others[: max(0, MOST_DOCUMENTS - len(needed))]])).astype(np.int64)
