"""`nearfar.Index`: questions in, documents out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.core.errors import BadInput
from nearfar.index.codes import CodedIndex, open_codes_of
from nearfar.index.exact import ExactIndex, open_index

if TYPE_CHECKING:  # reading an index must not import torch
    from sentence_transformers import SentenceTransformer

    from nearfar.encoder.encoder import Encoder


@dataclass(frozen=True)
class Hit:
    """One found document; `score` is the model's similarity."""

    id: str
    score: float
    text: str


@dataclass(frozen=True)
class Index:
    """An index and the model its documents were encoded with."""

    table: ExactIndex
    model: str | Path | SentenceTransformer | Encoder
    codes: CodedIndex | None = None  # what answers in the place of the full vectors

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: str | Path | SentenceTransformer | Encoder | None = None,
        *,
        size_bytes: int | None = None,
    ) -> Index:
        """Open a run folder, or an index folder with the model to encode questions with.

        The model is loaded at the first search.

        Args:
            size_bytes: of the codes that are to answer, which `nearfar.compress` makes; None for the full vectors.

        Raises:
            BadInput: there is no index, or it is damaged, or no model is known for it; or it has no such codes.
            FingerprintMismatch: the codes are those of another model.
        """
        path = Path(path)
        is_run = (path / "index").is_dir()
        if not is_run and model is None:
            beside = path.parent / "model"
            model = beside if beside.is_dir() else None
        if model is None and not is_run:
            raise BadInput.at(path, expected="a run folder, or an index folder and its model", found="no model",
                              do="name the model")  # fmt: skip
        place = path / "index" if is_run else path
        codes = None if size_bytes is None else open_codes_of(place, size_bytes)
        return cls(open_index(place), model or path / "model", codes)

    def __len__(self) -> int:
        return len(self.table.ids)

    @cached_property
    def encoder(self) -> Encoder:
        """The model, loaded."""
        from nearfar.encoder.load import load_encoder

        return load_encoder(self.model)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the model that encodes the questions."""
        return self.encoder.fingerprint()

    def search(self, query: str, k: int = 10, *, task: str = "") -> list[Hit]:
        """Return the k documents most similar to `query`, best first.

        Args:
            task: what kind of question it is, where the model has a prompt for that.

        Raises:
            BadInput: the query is no text, or the model knows no such task.
            FingerprintMismatch: the model is not the one the index was made with.
        """
        return self.search_many([query], k, task=task)[0]

    def search_many(self, queries: list[str], k: int = 10, *, task: str = "") -> list[list[Hit]]:
        """Return the k best documents of each query.

        Raises:
            BadInput: a query is no text, or the model knows no such task.
        """
        from nearfar.encoder.encode import encode
        from nearfar.encoder.precision import Policy
        from nearfar.encoder.prompts import check_task

        try:
            "".join(queries).encode()
        except UnicodeEncodeError:  # bytes of another encoding on the command line come as halves of surrogate pairs
            raise BadInput.at("question", expected="UTF-8 text", found="other bytes", do="write it in UTF-8") from None
        check_task(self.encoder.model, task)
        vectors = encode(self.encoder, queries, "query", Policy(), tasks=[task] * len(queries))
        rows, scores = (self.codes or self.table).search(vectors, k, self.fingerprint)
        return [
            [Hit(self.table.ids[row], float(score), self.table.texts[row]) for row, score in zip(r, s, strict=True)]
            for r, s in zip(rows, scores, strict=True)
        ]
