"""`nearfar.Index`: questions in, documents out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.core.errors import BadInput
from nearfar.index.codes import CodedIndex, Rescored, open_codes_of
from nearfar.index.generation import Generation, open_index

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

    table: Generation
    model: str | Path | SentenceTransformer | Encoder
    codes: CodedIndex | Rescored | None = None  # what answers in the place of the full vectors

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: str | Path | SentenceTransformer | Encoder | None = None,
        *,
        size_bytes: int | None = None,
        rescore: int | None = None,
    ) -> Index:
        """Open a run folder, or an index folder with the model to encode questions with.

        The model is loaded at the first search.

        Args:
            size_bytes: of the codes that are to answer, which `nearfar.compress` makes; None for the full vectors.
            rescore: documents that the codes choose for each question, to be ranked by their full vectors; None for
                the codes' own ranking.

        Raises:
            BadInput: there is no index, or it is damaged, or no model is known for it; or it has no such codes, or
                none are asked for that could choose.
            FingerprintMismatch: the codes are those of another model.
        """
        _check_rescore(rescore, size_bytes)
        path = Path(path)
        is_run = (path / "index").is_dir()
        if not is_run and model is None:
            beside = path.parent / "model"
            model = beside if beside.is_dir() else None
        if model is None and not is_run:
            raise BadInput.at(path, expected="a run folder, or an index folder and its model", found="no model",
                              do="name the model")  # fmt: skip
        place = path / "index" if is_run else path
        table = open_index(place)
        codes = None if size_bytes is None else open_codes_of(place, size_bytes)
        answering = Rescored(codes, table.table.vectors, rescore) if codes and rescore else codes
        return cls(table, model or path / "model", answering)

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


def _check_rescore(rescore: int | None, size_bytes: int | None) -> None:
    if rescore is not None and rescore < 1:
        raise BadInput.at("rescore", expected="one document or more", found=str(rescore), do="such as 100")
    if rescore is not None and size_bytes is None:
        raise BadInput.at("rescore", expected="codes that choose the documents", found="the full vectors alone",
                          do="say which codes: --bytes, or size_bytes")  # fmt: skip
