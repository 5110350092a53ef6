"""What a model does when surface and meaning are taken apart: masked, swapped, paraphrased queries, distractors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.diagnose.evidence import Evidence, Questions, Scores, Subject, Vectors
from nearfar.diagnose.ranking import ndcg_of_vectors
from nearfar.diagnose.surface import Shared, exchanged, without


@dataclass(frozen=True)
class Probed:
    """Queries of one split that share surface tokens with a relevant document, and what a model makes of them."""

    questions: Questions
    shared: Sequence[Shared]
    vectors: Vectors  # (n, d) of the queries as they are

    @property
    def rows(self) -> list[int]:
        """Rows of the questions, (n,)."""
        return [one.row for one in self.shared]

    @property
    def queries(self) -> list[str]:
        """The queries as they are."""
        return [self.questions.queries[row] for row in self.rows]


def quality(queries: Vectors, model: Subject, questions: Questions, rows: Sequence[int]) -> Scores:
    """nDCG@10 of these vectors, asked in place of the queries in these rows, (n,)."""
    return ndcg_of_vectors(queries, model.documents, questions.relevant.take(np.asarray(rows, np.int64)))


def masked(probed: Probed) -> list[str]:
    """The queries without the surface tokens they share."""
    return [without(query, one.tokens) for query, one in zip(probed.queries, probed.shared, strict=True)]


def closest(probed: Probed, model: Subject) -> NDArray[np.int64]:
    """The relevant document of each query that the model finds most like it, (n,)."""
    rows = (probed.questions.relevant[row] for row in probed.rows)
    return np.array([found[int((model.documents[found] @ vector).argmax())]
                     for found, vector in zip(rows, probed.vectors, strict=True)], dtype=np.int64)  # fmt: skip


def distractor_rate(probed: Probed, model: Subject, evidence: Evidence) -> Scores:
    """Whether any other document outranks the relevant one once it carries the tokens they share, (n,)."""
    others = np.random.default_rng(0).integers(0, len(evidence.documents), len(probed.shared))
    texts = [f"{' '.join(sorted(one.tokens))} {evidence.documents[other]}"
             for one, other in zip(probed.shared, others, strict=True)]  # fmt: skip
    scores = (probed.vectors * model.encode(texts, "document")).sum(axis=1)
    wins: Scores = (scores > (probed.vectors * model.documents[closest(probed, model)]).sum(axis=1)).astype(np.float64)
    return wins


def swap_rate(probed: Probed, model: Subject) -> Scores:
    """Whether a query that carries another's tokens finds the other's document before its own, (n,)."""
    order = np.random.default_rng(0).permutation(len(probed.shared))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    texts = [exchanged(query, one.tokens, probed.shared[other].tokens)
             for query, one, other in zip(probed.queries, probed.shared, partner, strict=True)]  # fmt: skip
    swapped, own = model.encode(texts, "query"), closest(probed, model)
    kept, misled = ((swapped * model.documents[rows]).sum(axis=1) for rows in (own, own[partner]))
    wins: Scores = (misled > kept).astype(np.float64)
    return wins


def paraphrase_drop(evidence: Evidence, model: Subject, fewest: int, most: int) -> dict[str, float]:
    """`paraphrase_drop`: share of nDCG@10 lost in other words; nothing where fewer than so many queries have any."""
    texts = {row: text for row, query in enumerate(evidence.test.queries)
             if evidence.paraphrase and (text := evidence.paraphrase(query))}  # fmt: skip
    if len(texts) < fewest:
        return {}
    rows = sorted(np.random.default_rng(0).permutation(list(texts))[:most].tolist())
    before = quality(model.test[rows], model, evidence.test, rows).mean()
    after = quality(model.encode([texts[row] for row in rows], "query"), model, evidence.test, rows).mean()
    return {"paraphrase_drop": float(1 - after / before) if before else 0.0}
