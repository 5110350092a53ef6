"""The sparse encoder of an index, whose weights of tokens take the place of BM25's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.index.generation import Generation
from nearfar.text.segments import Term

if TYPE_CHECKING:  # reading an index must not import torch
    from sentence_transformers import SparseEncoder

    from nearfar.encoder.sparse import SparseModel


def check_has_sparse(generation: Generation, name: object) -> None:
    """Refuse the name of a sparse encoder for an index of words.

    Raises:
        BadInput: so.
    """
    if name is not None and not generation.sparse:
        raise BadInput.at(generation.path, expected="an index with a sparse encoder", found="one of words (BM25)",
                          do="leave out --sparse, or build it with that")  # fmt: skip


def own_sparse(
    generation: Generation, name: str | Path | SparseEncoder | SparseModel | None = None, device: str = "cpu"
) -> SparseModel | None:
    """The sparse encoder of an index, loaded; None where it has none.

    Args:
        name: of it; None for what the index remembers.

    Raises:
        BadInput: it is not where it was or cannot be loaded, or the index has none and one is named.
        FingerprintMismatch: it is another one.
    """
    check_has_sparse(generation, name)
    if not generation.sparse:
        return None
    from nearfar.encoder.sparse import load_sparse  # noqa: PLC0415, torch

    known, path = generation.config.sparse, generation.path
    if name is None and Path(known).is_absolute() and not Path(known).is_dir():
        raise BadInput.at(path, expected=f"its sparse encoder {generation.sparse}", found=f"nothing in {known}",
                          do="say where it is: --sparse")  # fmt: skip
    model = load_sparse(known if name is None else name, device)
    if (found := model.fingerprint()) != generation.sparse:
        raise FingerprintMismatch(f"{path}: expected its own sparse encoder {generation.sparse}, found {found}; give "
                                  f"that one (--sparse), or build the index again")  # fmt: skip
    return model


def terms_of(generation: Generation, queries: Sequence[str], model: SparseModel | None) -> list[list[Term]]:
    """Terms of each query, as the inverted index of a generation takes them: words, or tokens with weights."""
    lexicon = generation.lexicon
    if model is None:
        return [lexicon.bm25.terms(query) for query in queries]
    from nearfar.encoder.precision import Policy  # noqa: PLC0415, torch

    found = model.encode(queries, "query", Policy(str(model.model.device)))
    rows = [np.split(part, found.indptr[1:-1]) for part in (found.indices, found.data)]
    return [lexicon.sparse.terms(dict(zip(tokens.tolist(), weights.tolist(), strict=True)), model.name)
            for tokens, weights in zip(*rows, strict=True)] if len(queries) else []  # fmt: skip
