"""`nearfar.Index`: questions in, documents out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearfar.core.errors import BadInput
from nearfar.core.unicode import check_encodable
from nearfar.index.exact import Vectors
from nearfar.index.generation import Generation, open_index
from nearfar.index.location import Storage
from nearfar.search.composed import of_set, of_topic
from nearfar.search.config import Mode, SearchConfig
from nearfar.search.explain import WhyNot, explained, why_not
from nearfar.search.fusion import PAD
from nearfar.search.hits import Hit, Hits, document_of, hits_of, row_of
from nearfar.search.opening import answering, places_of
from nearfar.search.ranking import Asked, Mask, Ranking
from nearfar.search.sparse import check_has_sparse, own_sparse, terms_of
from nearfar.search.stages import Stage, mode_for, open_stage
from nearfar.text.segments import Term
from nearfar.text.words import spans

if TYPE_CHECKING:  # reading an index must not import torch
    from sentence_transformers import SentenceTransformer, SparseEncoder

    from nearfar.encoder.encoder import Encoder, Role
    from nearfar.encoder.pair_scorer import Scorer
    from nearfar.encoder.sparse import SparseModel


@dataclass(frozen=True)
class Index:
    """An index and the model its documents were encoded with."""

    ranking: Ranking
    model: str | Path | SentenceTransformer | Encoder
    sparse: str | Path | SparseEncoder | SparseModel | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: str | Path | SentenceTransformer | Encoder | None = None,
        *,
        size_bytes: int | None = None,
        rescore: int | None = None,
        config: SearchConfig | None = None,
        sparse: str | Path | SparseEncoder | SparseModel | None = None,
        storage: Storage | None = None,
    ) -> Index:
        """Open a run folder, or an index folder with the model to encode questions with.

        The model is loaded at the first search that needs vectors, the sparse encoder at the first that needs words.

        Args:
            size_bytes: of the codes that are to answer, which `nearfar.compress` makes; None for the index's own.
            rescore: documents that the codes choose for each question, to be ranked by their full vectors; None for
                the codes' own ranking.
            config: how a search ranks.
            sparse: the index's sparse encoder, where it is not any more what it was built with by name.
            storage: what opens the object storage that the index's table may be on, in addition to the environment, by
                Lance's names.

        Raises:
            BadInput: there is no index, or it is damaged, or no model is known for it; or it has no such codes, or
                none are asked for that could choose; or it has no sparse encoder.
            FingerprintMismatch: the codes are those of another model.
        """
        place, beside = places_of(Path(path), named=model is not None)
        generation = open_index(place, storage)
        check_has_sparse(generation, sparse)
        codes = answering(place, generation, size_bytes, rescore)
        return cls(Ranking(generation, codes, config or SearchConfig()), beside if model is None else model, sparse)

    def __len__(self) -> int:
        return len(self.generation)

    @property
    def generation(self) -> Generation:
        """What is on disk."""
        return self.ranking.generation

    @cached_property
    def encoder(self) -> Encoder:
        """The model, loaded."""
        from nearfar.encoder.load import load_encoder

        return load_encoder(self.model)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the model that encodes the questions."""
        return self.encoder.fingerprint()

    @cached_property
    def sparse_model(self) -> SparseModel | None:
        """The sparse encoder, loaded; None where the index has none."""
        return own_sparse(self.generation, self.sparse)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        task: str = "",
        filter: str = "",  # noqa: A002
        mode: Mode | None = None,
        rerank: Scorer | None = None,
        explain: bool = False,
    ) -> Hits:
        """Return the k documents that answer `query` best, best first.

        Args:
            task: what kind of question it is, where the model has a prompt for that.
            filter: a condition on the metadata, such as 'year >= 2020 and lang in ("en", "de")'; see docs/filters.md.
            mode: by vectors, by words (BM25, or the index's sparse encoder), or by both; left out: by vectors, and by
                both for "learned".
            rerank: a cross-encoder or multi-vector encoder that reads the first `config.depth` documents and orders
                them, or "me:8" (see `encoder.multi_vector`); "learned": the order that `nearfar index tune` learned.
                Where `config.budget_ms` ends its reading, the later hits keep their scores and order.
            explain: say of each hit what made its score before that.

        Raises:
            BadInput: the query is no text or has no words, the filter cannot be read, the model knows no such task, or
                the reranker cannot be had.
            FingerprintMismatch: the model is not the one the index was made with.
        """
        mode = mode_for(mode, rerank)
        asked = self.asked([query], task, mode)
        return self.found(asked, k, filter=filter, mode=mode, rerank=rerank, explain=explain)

    def found(
        self, asked: Asked, k: int, *, filter: str = "", mode: Mode = "dense",  # noqa: A002
        rerank: Scorer | None = None, explain: bool = False,
    ) -> Hits:  # fmt: skip
        """`search` for one query whose vector is there already.

        Raises:
            BadInput, FingerprintMismatch: as of `search`.
        """
        allowed, stage = self.allowed(filter), self.stage(rerank)
        depth = k if stage is None else max(k, self.ranking.config.depth)
        found = (self.ranking.ranked(asked, k, mode, allowed) if stage is None
                 else stage.best(self.ranking, asked, k, mode, allowed))  # fmt: skip
        rows, scores = np.atleast_2d(found[0]), np.atleast_2d(found[1])
        hits = hits_of(self.generation.table, (rows, scores))[0]
        if not explain:
            return hits
        said = explained(self.ranking, asked, rows[0][rows[0] != PAD], depth, mode, allowed)
        return Hits(replace(hit, explanation=replace(why, marks=spans(hit.text, why.matched.keys())))
                    for hit, why in zip(hits, said, strict=True))  # fmt: skip

    def similar(self, id: str, k: int = 10, *, filter: str = "") -> Hits:  # noqa: A002
        """Return the k documents with the nearest vectors to that of one in the index, without that one.

        Raises:
            UnknownDocument: the index has no such document.
            BadInput: as of `search`.
        """
        row, allowed = row_of(self.generation.table, id), self.allowed(filter)
        others = np.ones(len(self), np.bool_) if allowed is None else allowed.copy()
        others[row] = False
        asked = self.with_vectors([""], self.ranking.vectors(np.array([row], np.int32)))
        return hits_of(self.generation.table, self.ranking.dense(asked, k, others))[0]

    def search_many(
        self, queries: list[str], k: int = 10, *, task: str = "", filter: str = "", mode: Mode = "dense"  # noqa: A002
    ) -> list[Hits]:  # fmt: skip
        """Return the k best documents of each query.

        Raises:
            BadInput, FingerprintMismatch: as of `search`.
        """
        return self.found_many(self.asked(queries, task, mode), k, filter=filter, mode=mode)

    def found_many(self, asked: Asked, k: int, *, filter: str = "", mode: Mode = "dense") -> list[Hits]:  # noqa: A002
        """`search_many` for queries whose vectors are there already.

        Raises:
            BadInput, FingerprintMismatch: as of `search`.
        """
        return hits_of(self.generation.table, self.ranking.ranked(asked, k, mode, self.allowed(filter)))

    def document(self, id: str) -> Hit:  # noqa: A002
        """Return the document of an id, whole; of its passages the score is 0 and the text is one after another.

        Raises:
            UnknownDocument: the index has no such document.
        """
        return document_of(self.generation.table, id)

    def search_set(
        self, like: Sequence[str], unlike: Sequence[str] = (), k: int = 10, *, filter: str = ""  # noqa: A002
    ) -> Hits:  # fmt: skip
        """Return documents like all of some texts and unlike others: see `composed.of_set`.

        Raises:
            BadInput, FingerprintMismatch: as of `search`, or there is no text to be like.
        """
        if not like:
            raise BadInput.at("like", expected="a text or more", found="none", do="say what to look for")
        asked = self.asked([*like, *unlike], "", "dense")
        return self.found(asked.of(of_set(asked.vectors, len(like))), k, filter=filter)

    def search_topic(self, keywords: Sequence[str], k: int = 10, *, filter: str = "") -> Hits:  # noqa: A002
        """Return documents of a topic that keywords name, which are words of documents and not of a question.

        See `composed.of_topic`.

        Raises:
            BadInput, FingerprintMismatch: as of `search`, or there is no keyword.
        """
        if not keywords:
            raise BadInput.at("topic", expected="a keyword or more", found="none", do="write some")
        asked = self.asked(keywords, "", "dense", "document")
        return self.found(asked.of(of_topic(self.ranking, asked, self.allowed(filter))), k, filter=filter)

    def answers(self, hits: Sequence[Hit], mode: Mode = "dense") -> bool:
        """Whether the best of the hits is likelier right than wrong, by what `nearfar index tune` learnt.

        Raises:
            BadInput: nothing was learnt of this mode.
        """
        learnt = self.generation.settings.answered_from
        if mode not in learnt:
            raise BadInput.at(self.generation.path, expected=f"a score learnt from judged queries, for {mode} search",
                              found="none", do="learn it: nearfar index tune INDEX --data D")  # fmt: skip
        return bool(hits) and hits[0].score >= learnt[mode]

    def why_not(
        self, query: str | Asked, id: str, k: int = 10, *, filter: str = "", mode: Mode = "dense"  # noqa: A002
    ) -> WhyNot:  # fmt: skip
        """Say where a document is lost on the way to the k best answers.

        Raises:
            BadInput, FingerprintMismatch: as of `search`.
        """
        check_encodable([id], "id")
        asked = self.asked([query], "", mode) if isinstance(query, str) else query
        return why_not(self.ranking, asked, id, k, mode, self.allowed(filter))

    def stage(self, rerank: Scorer | None) -> Stage | None:
        """What has the last word on the order of documents; one that is named is loaded once.

        Raises:
            BadInput: as of `search`.
        """
        if rerank is None:
            return None
        name = str(rerank) if isinstance(rerank, str | Path) else ""
        found = self._stages.get(name) or open_stage(rerank, self.ranking, lambda: self.encoder)
        if name:
            self._stages[name] = found
        return found

    @cached_property
    def _stages(self) -> dict[str, Stage]:
        return {}

    def asked(self, queries: Sequence[str], task: str, mode: Mode, role: Role = "query") -> Asked:
        """Queries as the modes take them; without vectors where only words are asked for.

        Raises:
            BadInput: one is no text or has no words, or the model knows no such task.
        """
        check_encodable(queries, "question")
        if not all(query.strip() for query in queries):
            raise BadInput.at("question", expected="words", found="none", do="write some")
        if mode == "lexical":
            return self.with_vectors(queries, np.empty((len(queries), 0), np.float32))
        from nearfar.encoder.encode import encode
        from nearfar.encoder.precision import Policy
        from nearfar.encoder.prompts import check_task

        check_task(self.encoder.model, task)
        vectors = encode(self.encoder, queries, role, Policy(), tasks=[task] * len(queries))
        return Asked(queries, vectors, self.fingerprint, self._terms)

    def with_vectors(self, queries: Sequence[str], vectors: Vectors) -> Asked:
        """Queries whose vectors (Q, d) the index's own model has made already."""
        return Asked(queries, vectors, self.generation.fingerprint, self._terms)

    def _terms(self, queries: Sequence[str]) -> list[list[Term]]:
        return terms_of(self.generation, queries, self.sparse_model)

    def allowed(self, filter: str) -> Mask | None:  # noqa: A002
        """Documents (n,) that fulfil a condition; None for all.

        Raises:
            BadInput: it cannot be read.
        """
        return self.generation.allowed(filter) if filter.strip() else None
