"""One vector for a question that is made of several texts."""

from __future__ import annotations

from nearfar.index.exact import Vectors
from nearfar.search.fusion import PAD
from nearfar.search.ranking import Asked, Mask, Ranking

TOPIC_DOCUMENTS = 20  # nearest to the keywords of a topic, whose mean stands for it


def of_set(vectors: Vectors, like: int) -> Vectors:
    """The sum of the first vectors (n, d), of texts to be like, less that of the others, of texts to be unlike; (d,).

    Its inner product with a document is that sum of theirs (SetCSE; Liu, 2024), as it is linear.
    """
    composed: Vectors = vectors[:like].sum(axis=0) - vectors[like:].sum(axis=0)
    return composed


def of_topic(ranking: Ranking, keywords: Asked, allowed: Mask | None) -> Vectors:
    """The mean of the 20 documents nearest to the mean of the keywords (Lbl2Vec; Schopf et al., 2021), (d,)."""
    mean: Vectors = keywords.vectors.mean(axis=0)
    nearest = ranking.dense(keywords.of(mean), TOPIC_DOCUMENTS, allowed)[0][0]
    nearest = nearest[nearest != PAD]
    return ranking.vectors(nearest).mean(axis=0) if len(nearest) else mean
