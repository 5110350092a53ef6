"""What an index on disk holds, beside what a model makes of the same texts: the evidence of drift."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from nearfar.core.ragged import Ragged
from nearfar.data.dataset import Dataset
from nearfar.diagnose.drift import FEWEST
from nearfar.diagnose.evidence import Evidence, Questions, Stored, Subject, Vectors
from nearfar.diagnose.spaces import Draw, draw
from nearfar.encoder.encode import open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.encoder.raw import raw_norm
from nearfar.index.exact import BLOCK_ROWS
from nearfar.index.generation import Generation, open_index
from nearfar.pipeline.evaluate import Space, judged_queries
from nearfar.pipeline.place import Place
from nearfar.pipeline.progress import Reporter
from nearfar.pipeline.session import IN_MEMORY

MOST_ITEMS = 2000  # documents that are asked for by their first words
ITEM_WORDS = 8  # of a document, as a query for it
MOST_NORMS = 256  # texts whose lengths before normalisation are looked at

Model = str | Path | SentenceTransformer | Encoder


def name_of(model: Model) -> str:
    """What a model is called in findings."""
    return str(model) if isinstance(model, str | Path) else IN_MEMORY


def stored_of(place: Place, model: Model, data: Dataset | None, reporter: Reporter) -> Stored:
    """Encode a sample of an index's documents, and queries for them, by a model that is to ask it.

    Args:
        data: judged queries, whose documents are found in the index by their text; without any, or with too few,
            documents' first words are the queries.
    """
    index = open_index(place.index)
    space = _space(model, reporter)
    questions = _judged(index, data)
    if len(questions) < FEWEST:
        found, questions = len(questions), known_items(index.texts)
        reporter.say(f"queries: the first words of {len(questions):,} documents, as the judged queries with a document "
                     f"in the index are {found}, fewer than {FEWEST}")  # fmt: skip
    part = draw(questions.relevant, len(index.texts))
    texts = [index.texts[row] for row in part.documents]
    queries = [questions.queries[row] for row in part.queries]
    start = time.perf_counter()
    encoded = space.vectors(texts, "document", f"documents by {name_of(model)}")
    seconds = time.perf_counter() - start
    result = _stored(place, index, part, questions)
    result = replace(result, model=name_of(model), asked_by=space.encoder.fingerprint(), encoded=encoded,
                    queries=space.vectors(queries, "query", "queries"), canaries=_canaries(index, space),
                    norms=_norms(space, queries, texts), seconds=_all(seconds, texts, index.texts))  # fmt: skip
    return _with_old_queries(result, place, queries, texts, reporter)


def stored_of_run(place: Place, evidence: Evidence, subject: Subject) -> Stored | None:
    """The run's own index beside the vectors of its documents that the evidence has already; None without an index."""
    if not place.index.exists():
        return None
    index = open_index(place.index)
    known = {text: row for row, text in enumerate(index.texts)}
    part = draw(evidence.test.relevant, len(evidence.documents))
    if not all(evidence.documents[row] in known for row in part.documents):
        return None  # another data set was handed in than the index was made of
    rows = np.array([known[evidence.documents[row]] for row in part.documents], np.int64)
    found = _stored(place, index, replace(part, documents=rows), evidence.test)
    queries = subject.test[part.queries]
    seconds = subject.seconds / max(len(evidence.documents), 1) * len(index.texts)
    return replace(found, model=subject.name, asked_by=subject.fingerprint, encoded=subject.documents[part.documents],
                   queries=queries, old_queries=queries if index.fingerprint == subject.fingerprint else None,
                   seconds=seconds)  # fmt: skip


def _stored(place: Place, index: Generation, part: Draw, questions: Questions) -> Stored:
    """What the index itself says, without any model."""
    rows = [int(row) for row in part.documents]
    asked = Questions([questions.queries[row] for row in part.queries], part.relevant)
    none = np.empty((0, 0), np.float32)
    return Stored(str(place.index), index.fingerprint, len(index.ids), [index.ids[row] for row in rows],
                  [index.texts[row] for row in rows], np.asarray(index.vectors[rows]), "", "", none, asked, none,
                  not_finite=[(index.ids[row], index.texts[row]) for row in _not_finite(index.vectors)])  # fmt: skip


def _not_finite(vectors: Vectors) -> list[int]:
    blocks = range(0, len(vectors), BLOCK_ROWS)
    return [start + int(row) for start in blocks
            for row in np.flatnonzero(~np.isfinite(vectors[start : start + BLOCK_ROWS]).all(axis=1))]  # fmt: skip


def _judged(index: Generation, data: Dataset | None) -> Questions:
    """The test queries with a relevant document that is in the index, by its text: ids mean nothing across data."""
    if data is None:
        return Questions()
    judged, row_of = judged_queries(data, "test"), {text: row for row, text in enumerate(index.texts)}
    rows = [sorted({row_of[text] for document in documents if (text := data.documents.texts[document]) in row_of})
            for documents in judged.documents]  # fmt: skip
    kept = [number for number, found in enumerate(rows) if found]
    return Questions([data.queries.texts[judged.queries[number]] for number in kept],
                     Ragged.of([rows[number] for number in kept]))  # fmt: skip


def known_items(texts: Sequence[str]) -> Questions:
    """The first half of a document's words, at most so many, as a query for it."""
    drawn = np.sort(np.random.default_rng(0).permutation(len(texts))[:MOST_ITEMS]).tolist()
    split = {row: texts[row].split() for row in drawn if texts[row].strip()}
    queries = [" ".join(words[: min(ITEM_WORDS, (len(words) + 1) // 2)]) for words in split.values()]
    return Questions(queries, Ragged.of([[row] for row in split]))


def _space(model: Model, reporter: Reporter) -> Space:
    policy = choose_policy()
    encoder = load_encoder(model, policy.device)
    return Space(encoder, policy, open_store(encoder), reporter)


def _canaries(index: Generation, space: Space) -> tuple[Vectors, Vectors] | None:
    if index.canaries is None:
        return None
    return index.canaries.vectors, space.vectors(index.canaries.texts, "document", "canaries")


def _norms(space: Space, queries: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    return {"query_norm": raw_norm(space.encoder, queries[:MOST_NORMS], "query", space.policy),
            "document_norm": raw_norm(space.encoder, texts[:MOST_NORMS], "document", space.policy)}  # fmt: skip


def _all(seconds: float, texts: Sequence[str], every: Sequence[str]) -> float:
    """Time for all documents by their length, from that of a sample."""
    return seconds * sum(map(len, every)) / max(sum(map(len, texts)), 1)


def _with_old_queries(
    found: Stored, place: Place, queries: Sequence[str], texts: Sequence[str], reporter: Reporter
) -> Stored:
    if found.asked_by == found.fingerprint:
        return replace(found, old_queries=found.queries)
    folder = place.made_by(found.fingerprint)
    if folder is None:
        return found
    space = _space(folder, reporter)
    norms = {f"old_{key}": value for key, value in _norms(space, queries, texts).items()}
    return replace(found, old_queries=space.vectors(queries, "query", "old queries"), norms={**found.norms, **norms})
