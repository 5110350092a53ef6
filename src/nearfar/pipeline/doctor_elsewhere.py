"""Other data sets that a model and its base are compared on, cut as the doctor's own data are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearfar.core.errors import BadInput
from nearfar.core.folding import folded
from nearfar.core.ragged import Ragged
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Judged
from nearfar.data.read import as_dataset
from nearfar.diagnose.evidence import Contrast, Evidence, Scores, Subject, WordSearch
from nearfar.evaluate.run import Run as Ranking
from nearfar.index.exact import top_k
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.doctor_texts import drawn, rows_of_documents, word_search
from nearfar.pipeline.evaluate import judged_queries, scored, texts_of, with_split
from nearfar.pipeline.progress import Reporter

Source = Dataset | str | Path
DEPTH = 10


@dataclass(frozen=True)
class Asked:
    """Test queries of one data set and documents to look for them in, at most so many of each."""

    name: str
    queries: Sequence[str]
    documents: Sequence[str]
    judged: Judged  # its documents are rows of these


def read_elsewhere(sources: Source | Iterable[Source], reporter: Reporter) -> list[Asked]:
    """Read the test split of each, with the usual columns; a file without splits is split as `fit` would.

    Raises:
        BadInput: one cannot be read, or has no test split.
    """
    every = [sources] if isinstance(sources, Source) else list(sources)
    return [_read(source, reporter) for source in every]


def _read(source: Source, reporter: Reporter) -> Asked:
    config, rng = DataConfig(), np.random.default_rng(0)
    if not isinstance(source, Source):
        raise BadInput.at("elsewhere", expected="files, folders or data sets", found=type(source).__name__,
                          do="name a BEIR folder")  # fmt: skip
    dataset = with_split(as_dataset(source, config), "test", config)
    for notice in dataset.notices:
        reporter.say(f"elsewhere: {dataset.name}: {notice}")
    judged = drawn(judged_queries(dataset, "test"), rng)
    rows = rows_of_documents(len(dataset.documents), [judged.documents], rng)
    within = Ragged(judged.documents.offsets, np.searchsorted(rows, judged.documents.values).astype(np.int32))
    documents = [dataset.documents.texts[row] for row in rows]
    judged = Judged(judged.queries, within, judged.gains)
    return Asked(dataset.name, texts_of(dataset.queries, judged.queries), documents, judged)


def contrasts(asked: Iterable[Asked], evidence: Evidence, reporter: Reporter) -> list[Contrast]:
    """The model of the evidence against its base on each of them, or against word search where it has none."""
    if evidence.model is None:
        return []
    own = {*map(folded, evidence.training_queries), *map(folded, evidence.test.queries)}
    found = []
    for one in asked:
        if known := sum(folded(query) in own for query in one.queries):
            reporter.say(f"elsewhere: {known:,} of {len(one.queries):,} test queries of {one.name} are in the data at "
                         "hand too: give sets that the model was not trained on")  # fmt: skip
        model = _by_model(evidence.model, one)
        reference = (
            _by_model(evidence.base, one)
            if evidence.base
            else _by_words(word_search(one.documents), one.queries, one.judged)
        )
        found.append(Contrast(one.name, one.queries, model, reference))
    return found


def at_home(name: str, evidence: Evidence, judged: Judged) -> Contrast | None:
    """The same on the data at hand, whose judgments these are."""
    if evidence.model is None:
        return None
    queries = evidence.test.queries
    search = evidence.lexical or word_search(evidence.documents)
    reference = evidence.base.ndcg if evidence.base else _by_words(search, queries, judged)
    return Contrast(name, queries, evidence.model.ndcg, reference)


def _by_model(subject: Subject, asked: Asked) -> Scores:
    queries, documents = subject.encode(asked.queries, "query"), subject.encode(asked.documents, "document")
    return ndcg_of(Ranking.ranked(*top_k(queries, documents, DEPTH)), asked.judged)


def _by_words(search: WordSearch, queries: Sequence[str], judged: Judged) -> Scores:
    found = search(queries)
    return ndcg_of(Ranking(found, np.zeros(found.shape, np.float32)), judged)


def ndcg_of(ranking: Ranking, judged: Judged) -> Scores:
    """nDCG@10 of each query, by the judgments' grades, (Q,)."""
    return scored(ranking, judged, [MAIN_METRIC]).per_query[MAIN_METRIC]
