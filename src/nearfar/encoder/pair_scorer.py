"""What orders documents again: any model that scores a query and a document as a pair."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, MultiVectorEncoder

from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.kind import kind_of
from nearfar.encoder.multi_vector import FirstTokens, MultiVector, first_tokens, load_multi_vector
from nearfar.encoder.precision import Policy
from nearfar.encoder.reranker import Reranker, load_reranker

FIRST_TOKENS = re.compile(r"me:([1-9][0-9]{0,3})")


class PairScorer(Protocol):
    """A model that scores pairs."""

    def scores(self, pairs: Sequence[tuple[str, str]], policy: Policy) -> NDArray[np.float32]:
        """Score of each pair of query and document, (n,), the higher the better."""

    def inference(self, policy: Policy) -> AbstractContextManager[None]:
        """What is set up once for several calls of `scores`."""

    def fingerprint(self) -> str:
        """Identity of the scores."""


Scorer = str | Path | CrossEncoder | MultiVectorEncoder | PairScorer


def load_scorer(name: Scorer, encoder: Callable[[], Encoder]) -> PairScorer:
    """Load a cross-encoder or a multi-vector encoder, whichever its folder says it is; a loaded one is taken as it is.

    Args:
        name: a folder, a hub name, or "me:8": the first eight token vectors of a document by the model below.
        encoder: gives the index's own model.

    Raises:
        BadInput: nothing of that name, another kind of model, or one that cannot be loaded safely.
    """
    if isinstance(name, Reranker | MultiVector | FirstTokens):
        return name
    if isinstance(name, CrossEncoder):
        return load_reranker(name)
    if isinstance(name, MultiVectorEncoder):
        return MultiVector(name)
    if not isinstance(name, str | Path):
        return cast(PairScorer, name)  # of the caller's own
    if found := FIRST_TOKENS.fullmatch(str(name)):
        return first_tokens(encoder(), int(found[1]), str(name))
    kind = kind_of(str(name))
    if kind == "bi-encoder":
        raise BadInput.at(name, expected="a cross-encoder or a multi-vector encoder", found="a bi-encoder",
                          do="choose another model, or train one: nearfar rerank-train")  # fmt: skip
    return load_multi_vector(name) if kind == "multi-vector" else load_reranker(name)
