"""What the rules look at: texts, judgments, and what the models make of them. Whatever is not there stays empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Encode = Callable[[Sequence[str], Literal["query", "document"]], Vectors]
WordSearch = Callable[[Sequence[str]], NDArray[np.int32]]


@dataclass(frozen=True)
class Questions:
    """Queries of a split with their relevant documents, as rows of the evidence's documents."""

    queries: Sequence[str] = ()
    relevant: Ragged = field(default_factory=lambda: Ragged.of([]))  # (Q)

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True)
class Subject:
    """One model over the evidence's texts; vectors are as it scores them: normalised where it means cosine."""

    name: str
    test: Vectors  # (Q, d)
    train: Vectors  # (T, d)
    documents: Vectors  # (D, d)
    ndcg: Scores  # (Q,) nDCG@10 of the test queries among the documents
    encode: Encode
    fingerprint: str = ""
    seconds: float = float("nan")  # that encoding the documents took
    is_static: bool = False  # a token table


@dataclass(frozen=True)
class Contrast:
    """nDCG@10 on the queries of one data set, of the model and of its base, or of word search where it has none."""

    name: str
    queries: Sequence[str]
    model: Scores  # (Q,)
    reference: Scores  # (Q,)


@dataclass(frozen=True)
class Course:
    """How training went."""

    steps: int = 0
    best_step: int = 0
    losses: tuple[float, ...] = ()
    dev: tuple[tuple[int, float], ...] = ()  # (steps done, nDCG@10)


@dataclass(frozen=True)
class Stored:
    """An index as it lies on disk, with a sample of its documents as the model that is to ask it encodes them."""

    place: str
    fingerprint: str  # of the model that made it
    size: int  # documents in it
    ids: Sequence[str]  # (n,) of the sample
    texts: Sequence[str]  # (n,)
    vectors: Vectors  # (n, d) as stored
    model: str  # that is to ask
    asked_by: str  # its fingerprint
    encoded: Vectors  # (n, d′) the sample by this model
    questions: Questions  # relevant are rows of the sample
    queries: Vectors  # (Q, d′) by this model
    old_queries: Vectors | None = None  # (Q, d) by the model that made the index, where it is at hand
    canaries: tuple[Vectors, Vectors] | None = None  # as stored (c, d), and by this model (c, d′)
    not_finite: Sequence[tuple[str, str]] = ()  # id and text of what is stored as no numbers, in the whole index
    norms: Mapping[str, float] = field(default_factory=dict)  # mean lengths before normalisation
    seconds: float = float("nan")  # to encode all documents again, as measured on the sample


@dataclass(frozen=True)
class Evidence:
    """Everything there is to judge by."""

    documents: Sequence[str] = ()
    groups: Sequence[str] = ()  # entity of each document, "" for none; empty where no document has one
    ids: Sequence[str] = ()  # of the documents, where they have any
    test: Questions = field(default_factory=Questions)
    train: Questions = field(default_factory=Questions)
    training_size: int = 0  # queries trained on, of which `train` may be a sample
    training_queries: Sequence[str] = ()  # all of them, or very many
    dev_queries: Sequence[str] = ()
    live: Questions = field(default_factory=Questions)  # asked by users, with what they clicked
    lexical: WordSearch | None = None  # word search: queries → documents (Q, k)
    training_pairs: int = 0  # pairs trained on
    asked: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # (D,) of these, each document's
    near_duplicates_masked: bool = False  # whether training leaves out what is nearly an answer by its tokens
    leaked: Sequence[str] = ()  # queries that are in more than one split
    model: Subject | None = None
    base: Subject | None = None  # what training started from; none for a fresh token table
    is_fresh: bool = False  # whether there is none for that reason
    course: Course = field(default_factory=Course)
    settings: Mapping[str, Any] = field(default_factory=dict)  # of training, as in the YAML's group `train`
    stages: Sequence[Mapping[str, Any]] = ()  # of the run's recipe, as in the YAML
    has_teachers: bool = False  # whether the run learnt from any, models or a file of scores
    stored: Stored | None = None
    probes: Mapping[int, float] = field(default_factory=dict)  # nDCG@10 of dev by batch size, of short trainings
    elsewhere: Sequence[Contrast] = ()  # on sets that the model was not trained on
    at_home: Contrast | None = None  # beside them, on the test queries
    paraphrase: Callable[[str], str | None] | None = None  # a query in other words; None where it has none
    paraphrased_by: str = ""  # the language model that said them; "" where rules did
