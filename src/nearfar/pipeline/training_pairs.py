"""Why a model finds what it finds: the pairs it was trained on that are nearest to a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.data.dataset import Dataset
from nearfar.data.read import as_dataset
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.pipeline.progress import Reporter
from nearfar.pipeline.supply import CACHE
from nearfar.pipeline.teachers import Desk, Teacher
from nearfar.search.explain import TrainedOn
from nearfar.search.hits import Hit


@dataclass(frozen=True)
class NearestPair:
    """A training query and the document it was paired with."""

    query: str
    similarity: float  # to the question
    id: str
    text: str


@dataclass(frozen=True)
class TrainingPairs:
    """The training pairs of a run, with its model's vectors of their queries."""

    dataset: Dataset
    encoder: Encoder
    vectors: NDArray[np.float32]  # (n, d), of each training pair's query

    @classmethod
    def of_run(cls, run: Path, encoder: Encoder, reporter: Reporter) -> TrainingPairs | None:
        """Those of a run folder; None where it does not hold its data, or was trained without pairs.

        The vectors are computed once and kept in the run, by the model's fingerprint.
        """
        source = run / "data" / "beir"
        if not (source / "qrels" / "train.tsv").exists():
            return None
        dataset = as_dataset(str(source))
        pairs = dataset.splits["train"].relevant
        rows, of_pair = np.unique(pairs.queries, return_inverse=True)
        desk = Desk(run / "data" / CACHE, Policy(), reporter)
        teacher = Teacher(run.name, encoder, encoder.fingerprint())
        vectors = desk.vectors(teacher, [dataset.queries.texts[row] for row in rows], "query")
        return cls(dataset, encoder, vectors[of_pair]) if len(pairs) else None

    def explained(self, question: str, hits: Sequence[Hit]) -> tuple[NearestPair, list[Hit]]:
        """The pair whose query is nearest to the question, and the hits, each with the nearest of its document's own.

        Hits without an explanation, or whose document no training query was paired with, stay as they are.
        """
        asked = encode(self.encoder, [question], "query", Policy())[0]
        similarities, pairs = self.vectors @ asked, self.dataset.splits["train"].relevant
        own: dict[str, TrainedOn] = {}
        for place in np.argsort(-similarities, kind="stable")[::-1]:  # the nearest comes last, and stays
            key = self.dataset.documents.ids[pairs.documents[place]]
            own[key] = TrainedOn(self.dataset.queries.texts[pairs.queries[place]], float(similarities[place]))
        best = int(similarities.argmax())
        document = int(pairs.documents[best])
        nearest = NearestPair(self.dataset.queries.texts[pairs.queries[best]], float(similarities[best]),
                              self.dataset.documents.ids[document], self.dataset.documents.texts[document])  # fmt: skip
        return nearest, [_with(hit, own.get(hit.id)) for hit in hits]


def _with(hit: Hit, trained_on: TrainedOn | None) -> Hit:
    if hit.explanation is None or trained_on is None:
        return hit
    return replace(hit, explanation=replace(hit.explanation, trained_on=trained_on))
